//! The terminal: what is shown there, and what keys do.
//!
//! The terminal is put back as it was however we end: by a key, by a signal, by a server
//! that has gone, or by a panic.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use pillarbox::Deadline;
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState};
use ratatui::{DefaultTerminal, Frame};

use super::rates::{Interval, Looks};
use super::{Sort, USUAL, rows};
use crate::asking::Asking;
use crate::failure::Failure;
use crate::server::Place;
use crate::watch::{self, Depth};

/// How long we wait for a key before we look whether somebody asked us to end.
const TURN: Duration = Duration::from_millis(100);

/// What is to be seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub(super) ports: bool,
    pub(super) sort: Sort,
    pub(super) every: Duration,
}

/// What a key asked for.
enum Asked {
    Nothing,
    Draw,
    /// Something else is shown from now on.
    DrawAnew,
    End,
}

pub(super) fn run(
    view: View,
    looks: Looks,
    place: &Place,
    ended: &AtomicBool,
) -> Result<ExitCode, Failure> {
    let mut terminal = ratatui::try_init()
        .map_err(|error| Failure::system("the terminal cannot be drawn on", error))?;
    let outcome = show(&mut terminal, view, looks, place, ended);
    ratatui::restore();
    outcome.map(|()| ExitCode::SUCCESS)
}

fn show(
    terminal: &mut DefaultTerminal,
    mut view: View,
    mut looks: Looks,
    place: &Place,
    ended: &AtomicBool,
) -> Result<(), Failure> {
    let broken = |error| Failure::system("the terminal cannot be drawn on", error);
    let mut interval = Interval { tasks: Vec::new() };
    let mut scroll = TableState::default();
    // Soon, so that there is something to be seen.
    let mut next = Instant::now() + view.every.min(Duration::from_millis(250));
    let mut draw = true;
    while !ended.load(Ordering::Relaxed) {
        if draw {
            let head = format!(
                " pillarbox top   {} tasks   every {:?}   by {:?}   q ends, p ports, s sorts ",
                interval.tasks.len(),
                view.every,
                view.sort,
            );
            terminal
                .draw(|frame| paint(frame, &interval, view, &head, &mut scroll))
                .map_err(broken)?;
        }
        let left = next.saturating_duration_since(Instant::now());
        draw = false;
        if left.is_zero() {
            let all = watch::everybody(
                place,
                Depth::Counts,
                Asking::of_a_screen,
                Deadline::after(USUAL),
            )?;
            interval = looks.add(all);
            next = Instant::now() + view.every;
            draw = true;
        } else if event::poll(left.min(TURN)).map_err(broken)? {
            match key(&event::read().map_err(broken)?, &mut view, &mut scroll) {
                Asked::Nothing => {}
                Asked::Draw => draw = true,
                Asked::DrawAnew => {
                    // Nothing, so that each word is written whole.
                    terminal.draw(|_| ()).map_err(broken)?;
                    draw = true;
                }
                Asked::End => return Ok(()),
            }
        }
    }
    Ok(())
}

fn key(event: &Event, view: &mut View, scroll: &mut TableState) -> Asked {
    let key = match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key,
        Event::Resize(..) => return Asked::Draw,
        _ => return Asked::Nothing,
    };
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return Asked::End,
        // In raw mode it is a key and no signal.
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Asked::End,
        KeyCode::Char('p') => {
            view.ports = !view.ports;
            return Asked::DrawAnew;
        }
        KeyCode::Char('s') => view.sort = after(view.sort),
        KeyCode::Down => *scroll.offset_mut() = scroll.offset().saturating_add(1),
        KeyCode::Up => *scroll.offset_mut() = scroll.offset().saturating_sub(1),
        KeyCode::Home => *scroll.offset_mut() = 0,
        _ => return Asked::Nothing,
    }
    Asked::Draw
}

const fn after(sort: Sort) -> Sort {
    match sort {
        Sort::In => Sort::Queued,
        Sort::Queued => Sort::Wait,
        Sort::Wait => Sort::Answer,
        Sort::Answer => Sort::Mem,
        Sort::Mem => Sort::Pid,
        Sort::Pid => Sort::In,
    }
}

fn paint(
    frame: &mut Frame<'_>,
    interval: &Interval,
    view: View,
    head: &str,
    scroll: &mut TableState,
) {
    let [above, below] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(frame.area());
    let head = Paragraph::new(head).style(Style::new().add_modifier(Modifier::REVERSED));
    frame.render_widget(head, above);
    let table = if view.ports {
        as_table(rows::PORTS, rows::port_rows(interval, view.sort), scroll)
    } else {
        as_table(rows::TASKS, rows::task_rows(interval, view.sort), scroll)
    };
    frame.render_stateful_widget(table, below, scroll);
}

/// Numbers to the right in columns as wide as they need, names in what is left.
fn as_table<'a, const N: usize>(
    head: [&'a str; N],
    rows: Vec<[String; N]>,
    scroll: &mut TableState,
) -> Table<'a> {
    let last = rows.len().saturating_sub(1);
    *scroll.offset_mut() = scroll.offset().min(last);
    let widths = (0..N).map(|at| {
        let cells = rows.iter().map(|row| row.get(at).map_or(0, |cell| cell.chars().count()));
        let head = head.get(at).map_or(0, |word| word.chars().count());
        let widest = cells.chain([head]).max().unwrap_or(0);
        let width = u16::try_from(widest).unwrap_or(u16::MAX);
        if at + 1 == N { Constraint::Fill(1) } else { Constraint::Length(width) }
    });
    let widths: Vec<Constraint> = widths.collect();
    let side = |at: usize| if at + 1 == N { Alignment::Left } else { Alignment::Right };
    let line = |cells: Vec<String>| {
        Row::new(
            cells
                .into_iter()
                .enumerate()
                .map(|(at, cell)| Cell::from(Line::from(cell).alignment(side(at))))
                .collect::<Vec<_>>(),
        )
    };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let header = line(head.map(str::to_owned).to_vec()).style(bold);
    Table::new(rows.into_iter().map(|row| line(row.to_vec())), widths)
        .header(header)
        .column_spacing(2)
}
