//! The story in plain English, and as one JSON object.
//!
//! Every figure in the text was measured in this run.

use std::io;

use anyhow::Result;

use super::clock::span;
use super::story::{Call, Forged, Gift, Killed, Story, Stream, Top};

/// Where the text of a paragraph begins, after its catchword.
const INDENT: usize = 13;

/// No line is longer.
const WIDTH: usize = 79;

/// Prints one JSON object.
pub(super) fn json(story: &Story) -> Result<()> {
    print(&(serde_json::to_string(story)? + "\n"))
}

/// Prints the counts and what was shown.
pub(super) fn text(story: &Story) -> Result<()> {
    print(&(counts(story) + &shown(story)))
}

fn print(text: &str) -> Result<()> {
    use std::io::Write;
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Nobody reads on: that is no fault of ours.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

// ---- the counts --------------------------------------------------------------

fn counts(story: &Story) -> String {
    let Story { lines, words, bytes, file, .. } = story;
    let mut text = format!(
        "{:>12} {:>12} {:>14}\n{lines:>12} {words:>12} {bytes:>14}   {file}\n\n",
        "lines", "words", "bytes"
    );
    text += &match (story.distinct_words, story.top.len()) {
        (Some(0), _) => "There is no word in it.\n".to_owned(),
        (Some(1), _) => "One word is all there is:\n".to_owned(),
        (Some(distinct), shown) if distinct == shown as u64 => {
            format!("All {shown} words of it, the most frequent first:\n")
        }
        (Some(distinct), shown) => {
            format!("The {shown} most frequent of {} different words:\n", grouped(distinct))
        }
        (None, shown) => format!("The {shown} most frequent words, estimated:\n"),
    };
    let exact = story.distinct_words.is_some();
    for Top { word, at_least, at_most } in &story.top {
        text += &if exact {
            format!("{at_least:>12}  {word}\n")
        } else {
            format!("{:>12}  {word}   ({at_least} to {at_most})\n", format!("≈{at_most}"))
        };
    }
    if !exact {
        let certain = if story.top_is_certain {
            "No other word is more frequent than one of these."
        } else {
            "Which words are the most frequent is not certain either."
        };
        text += &wrapped(
            "  ≈ ",
            &format!(
                "There are more than a million different words, so a counter of a fixed size has \
                 estimated these, at most {} too high. {certain} Lines, words and bytes are exact.",
                grouped(story.top_error_at_most)
            ),
        );
    }
    let unprintable = story.words_unprintable_included - words;
    if unprintable > 0 {
        text += &wrapped(
            "  ",
            &format!(
                "({} without a printable ASCII byte, and no word here or to the wc of coreutils \
                 9.1. Later ones count {} words.)",
                number(unprintable, "run of bytes is", "runs of bytes are"),
                grouped(story.words_unprintable_included)
            ),
        );
    }
    text
}

// ---- what was shown ------------------------------------------------------------

fn shown(story: &Story) -> String {
    let mut text = format!("\nHow process {} got them, and what else it did\n\n", story.client_pid);
    text += &paragraph("Services", &services(&story.stream));
    text += &paragraph("Mailboxes", &mailboxes(story));
    text += &paragraph("A call", &call(&story.call));
    text += &paragraph("A right", &gift(story.client_pid, &story.gift));
    text += &paragraph("A kill", &kill(story));
    text += &paragraph("A forgery", &forgery(&story.forgery));
    text += &paragraph("Memory", &memory(story));
    text
}

fn services(stream: &Stream) -> String {
    let pids: Vec<_> = stream.counters.iter().map(|counter| counter.pid.to_string()).collect();
    let ready = stream.counters.iter().map(|counter| counter.ready_ns).max().unwrap_or(0);
    format!(
        "It looked up {} names that nobody had yet. That started a word counter for each, \
         processes {}, and the look-ups waited until they were ready: {}.",
        pids.len(),
        listed(&pids),
        span(ready)
    )
}

fn mailboxes(story: &Story) -> String {
    let Stream { parts, part_bytes, span_ns, megabytes_per_second, expected_bytes, .. } =
        &story.stream;
    if *parts == 0 {
        return "The file is empty: there was nothing to send to them.".to_owned();
    }
    let mut text = format!(
        "It read the file once, sent it to their mailboxes in {} of up to {} MiB and added up \
         their answers: {}, {megabytes_per_second:.1} MB/s.",
        number(*parts, "part", "parts"),
        part_bytes >> 20,
        span(*span_ns)
    );
    if let Some(expected) = expected_bytes.filter(|&expected| expected != story.bytes) {
        text += &format!(
            " The file changed meanwhile: it had {} bytes at first, and these are the counts of \
             the {} that were read.",
            grouped(expected),
            grouped(story.bytes)
        );
    }
    text
}

fn call(call: &Call) -> String {
    format!(
        "{} calls of process {}, one right after the other, each answered: {} there and back. {} \
         calls after {} ms of silence each, when both sides sleep: {}. (Medians.)",
        grouped(call.awake_calls as u64),
        call.server_pid,
        span(call.awake_median_ns),
        call.asleep_calls,
        call.silence_ms,
        span(call.asleep_median_ns)
    )
}

fn gift(client: u32, gift: &Gift) -> String {
    let (guest, owner) = (gift.guest.pid, gift.owner_pid);
    format!(
        "Process {client} gave a right to call {owner} away, in a message to process {guest}, \
         which had never heard of {owner}. It used it at once: {owner} saw {}, {guest} saw {}, \
         by the kernel's word, and nobody stood between them. The first call took {}, their \
         meeting included, the next one {}.",
        gift.visit.asked_by,
        gift.visit.answered_by,
        span(gift.visit.first_ns),
        span(gift.visit.second_ns)
    )
}

fn kill(story: &Story) -> String {
    let Some(killed) = &story.killed else {
        return "No counter was killed: in an empty file there is no part to lose.".to_owned();
    };
    let Killed { pid, resident_bytes, kernel_knew_ns, client_knew_ns, part, .. } = killed;
    let mut text = format!(
        "Counter {pid} ({} resident) was told to pause in the middle of part {} of {}, and was \
         killed there with SIGKILL. After {} the kernel said so to the parent, after {} the \
         client's call had failed for it.",
        mebibytes(*resident_bytes),
        part + 1,
        story.stream.parts,
        span(*kernel_knew_ns),
        span(*client_knew_ns),
    );
    let others = killed.parts_lost.saturating_sub(1);
    if others > 0 {
        let more = number(others, "part more", "parts more");
        text += &format!(" It had {more} in its mailbox, which {} done again, too.", were(others));
    }
    text += &format!(
        " Counter {} did the part over, {} after that news. Every part was counted once: the \
         totals above are exact.",
        killed.done_by,
        span(killed.done_after_ns)
    );
    if let Some(successor) = &killed.successor {
        text += &format!(
            " Looked up again, the name of the dead was there again: process {}, ready in {}.",
            successor.pid,
            span(successor.ready_ns)
        );
    }
    text
}

fn forgery(forged: &Forged) -> String {
    let Forged { forgery, links_before, links_after } = forged;
    let links = if links_before == links_after {
        format!("{} has as many links as before: {links_after}.", forgery.door_of)
    } else {
        format!("{} had {links_before} links before and has {links_after}.", forgery.door_of)
    };
    format!(
        "Process {}, a stranger, knocked at the door of {} and claimed what the guest was given, \
         with the true giver's name and {} tickets, the true one's number among them. {} refused, \
         in {} each, with the words \"{}\". {links}",
        forgery.pid,
        forgery.door_of,
        forgery.tries,
        if forgery.refused == forgery.tries {
            format!("All {} were", forgery.refused)
        } else {
            format!("{} were", forgery.refused)
        },
        span(forgery.median_ns),
        forgery.reasons.join("\" and \"")
    )
}

fn memory(story: &Story) -> String {
    let memory = &story.memory;
    format!(
        "At most {} resident in all {} processes together, over {} samples; {} if each one's own \
         peak had come at the same moment.",
        mebibytes(memory.peak_bytes),
        memory.processes,
        grouped(memory.samples),
        mebibytes(memory.sum_of_peaks_bytes)
    )
}

// ---- words ---------------------------------------------------------------------

/// A paragraph with a catchword in its margin.
fn paragraph(catchword: &str, text: &str) -> String {
    wrapped(&format!("  {catchword:<width$}", width = INDENT - 2), text)
}

/// Some lines, the first of which begins with `margin` and the others as far to
/// the right.
fn wrapped(margin: &str, text: &str) -> String {
    let indent = margin.chars().count();
    let mut lines = String::new();
    let mut line = margin.to_owned();
    let mut empty = true;
    for word in text.split_ascii_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += line.trim_end();
            lines.push('\n');
            line = " ".repeat(indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line += word;
        empty = false;
    }
    lines += line.trim_end();
    lines.push('\n');
    lines
}

fn number(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

fn were(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_easily() {
        for (plain, said) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(plain), said);
        }
        assert_eq!(number(1, "part", "parts"), "1 part");
        assert_eq!(listed(&["1".into(), "2".into(), "3".into()]), "1, 2 and 3");
    }

    #[test]
    fn paragraphs_keep_to_their_width() {
        let text = paragraph("Catchword", &"some words, 12.3 µs long; ".repeat(20));
        assert!(text.starts_with("  Catchword  some words"));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(text.lines().skip(1).all(|line| line.starts_with("             some")
            || line.starts_with("             words,")
            || line.starts_with("             ")));
    }
}
