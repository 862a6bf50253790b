//! Each line of the story has its figures, and they make sense together.

mod demo;

use std::process::Stdio;

use demo::{Place, demo, figures, number, run, text};

fn told(bytes: &[u8]) -> String {
    let place = Place::new();
    let output = run(&[place.file("a file", bytes)]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).expect("it is text")
}

/// The paragraph with this catchword, on one line.
fn paragraph(said: &str, catchword: &str) -> String {
    let mut lines = said.lines().skip_while(|line| !line.starts_with(&format!("  {catchword} ")));
    let first = lines.next().unwrap_or_else(|| panic!("{catchword}: {said}"));
    let rest = lines.take_while(|line| line.starts_with("             "));
    std::iter::once(first).chain(rest).map(str::trim).collect::<Vec<_>>().join(" ")
}

fn has_a_span(paragraph: &str) -> bool {
    let words: Vec<_> = paragraph.split_ascii_whitespace().collect();
    words.windows(2).any(|two| {
        two[0].parse::<f64>().is_ok()
            && ["ns", "µs", "ms", "s"].contains(&two[1].trim_end_matches([',', '.', ';', ':']))
    })
}

#[test]
fn every_paragraph_has_its_figures() {
    let said = told(&text(2_500_000));
    for catchword in ["Services", "Mailboxes", "A call", "A right", "A kill", "A forgery"] {
        let paragraph = paragraph(&said, catchword);
        assert!(has_a_span(&paragraph), "{paragraph}");
    }
    assert!(paragraph(&said, "Mailboxes").contains(" MB/s"));
    assert!(paragraph(&said, "A call").contains("1,000 calls"));
    assert!(paragraph(&said, "A kill").contains("SIGKILL"));
    assert!(paragraph(&said, "A kill").contains("MiB resident"));
    assert!(paragraph(&said, "A forgery").contains("All 64 were refused"));
    assert!(paragraph(&said, "Memory").contains("MiB resident in all"));
    // After the counts, where the file's own path stands.
    assert!(said.lines().skip(2).all(|line| line.chars().count() < 80), "{said}");
}

#[test]
fn an_empty_file_has_a_story_too() {
    let said = told(b"");
    assert!(said.contains("There is no word in it."), "{said}");
    assert!(paragraph(&said, "A kill").contains("No counter was killed"));
    assert!(has_a_span(&paragraph(&said, "A call")));
}

#[test]
fn the_figures_agree_with_each_other() {
    let place = Place::new();
    let figures = figures(&place.file("file", &text(2_500_000)));
    let gift = &figures["gift"];
    // Who saw whom.
    assert_eq!(gift["visit"]["asked_by"], gift["guest"]["pid"]);
    assert_eq!(gift["visit"]["answered_by"], gift["owner_pid"]);
    let people = [&figures["client_pid"], &gift["guest"]["pid"], &gift["owner_pid"]];
    assert!(people[0] != people[1] && people[1] != people[2] && people[2] != people[0]);
    // Refused by the true owner's door, with one reason.
    let forgery = &figures["forgery"];
    assert_eq!(forgery["door_of"], gift["owner_pid"]);
    assert_eq!(forgery["refused"], forgery["tries"]);
    assert_eq!(forgery["reasons"].as_array().map(Vec::len), Some(1));
    assert_eq!(forgery["links_before"], forgery["links_after"]);
    let call = &figures["call"];
    assert_eq!(number(call, "awake_calls"), 1_000);
    assert!(number(call, "awake_median_ns") > 0);
    let memory = &figures["memory"];
    assert!(number(memory, "peak_bytes") <= number(memory, "sum_of_peaks_bytes"));
    assert!(number(memory, "processes") >= 5);
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let place = Place::new();
    let mut child = demo()
        .arg(place.file("file", b"x"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the demo starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(output.stderr, b"");
}
