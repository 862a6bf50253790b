//! Lines, words and bytes are those of `LC_ALL=C wc -lwc`, whatever is in the
//! file, although a counter was killed in the middle.

mod demo;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use demo::{Dice, Place, demo, figures, number, parsed, text};
use serde_json::Value;

/// What the machine's own `wc` says of a file.
fn wc(path: &Path) -> [u64; 3] {
    let file = File::open(path).expect("the file is there");
    let output = Command::new("wc").arg("-lwc").env("LC_ALL", "C").stdin(file).output();
    let said = String::from_utf8(output.expect("wc runs").stdout).expect("wc says numbers");
    let numbers: Vec<u64> = said.split_whitespace().map(|n| n.parse().expect("a number")).collect();
    numbers.try_into().expect("three numbers")
}

/// Whether this `wc` takes bytes that cannot be printed for a word.
fn wc_is_of_today() -> bool {
    let place = Place::new();
    wc(&place.file("control", b"\x01"))[1] == 1
}

fn counts(figures: &Value) -> [u64; 3] {
    let words = if wc_is_of_today() { "words_unprintable_included" } else { "words" };
    [number(figures, "lines"), number(figures, words), number(figures, "bytes")]
}

/// Counts a file and checks what must be true of any.
fn check(path: &Path) -> Value {
    let figures = figures(path);
    assert_eq!(counts(&figures), wc(path), "{}", path.display());
    let killed = &figures["killed"];
    if number(&figures, "bytes") == 0 {
        assert!(killed.is_null());
    } else {
        a_counter_was_killed(killed);
    }
    assert!(number(&figures["memory"], "sum_of_peaks_bytes") < 256 << 20, "{figures}");
    assert!(number(&figures["memory"], "samples") > 0);
    figures
}

fn a_counter_was_killed(killed: &Value) {
    assert!(number(killed, "pid") > 0);
    assert!(number(killed, "parts_lost") >= 1);
    assert!(number(killed, "done_by") > 0);
    assert_ne!(killed["done_by"], killed["pid"]);
    assert_ne!(killed["successor"]["pid"], killed["pid"]);
    assert!(number(killed, "kernel_knew_ns") > 0);
    assert!(number(killed, "client_knew_ns") > 0);
    assert!(number(killed, "resident_bytes") > 0);
}

#[test]
fn small_files_of_every_kind() {
    let place = Place::new();
    let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let cases: &[(&str, &[u8])] = &[
        ("empty", b""),
        ("one letter", b"x"),
        ("one newline", b"\n"),
        ("one zero", b"\0"),
        ("no newline at the end", b"one two\nthree"),
        ("zeros", &[0; 10_000]),
        ("all bytes", &all),
        ("readme", &text(6_000)),
    ];
    for (name, bytes) in cases {
        check(&place.file(name, bytes));
    }
}

#[test]
fn the_ten_most_frequent_words_are_exact() {
    let place = Place::new();
    let text = text(3 << 20);
    let mut words: HashMap<&[u8], u64> = HashMap::new();
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        *words.entry(word).or_default() += 1;
    }
    let mut expected: Vec<(&[u8], u64)> = words.into_iter().collect();
    expected.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));

    let figures = check(&place.file("text", &text));
    assert_eq!(number(&figures, "distinct_words"), expected.len() as u64);
    assert_eq!(figures["top_is_certain"], true);
    let top = figures["top"].as_array().expect("a list");
    assert_eq!(top.len(), 10);
    for (top, (word, count)) in top.iter().zip(&expected) {
        assert_eq!(top["word"].as_str().map(str::as_bytes), Some(*word));
        assert_eq!([number(top, "at_least"), number(top, "at_most")], [*count; 2]);
    }
}

#[test]
fn one_word_over_many_parts_is_one_word() {
    let place = Place::new();
    let figures = check(&place.file("giant", &vec![b'w'; 5_000_000]));
    assert_eq!(number(&figures, "words"), 1);
    assert_eq!(number(&figures["stream"], "parts"), 5);
    assert_eq!(number(&figures["top"][0], "at_least"), 1);
}

#[test]
fn more_than_a_million_different_words_are_estimated_with_a_bound() {
    let place = Place::new();
    let mut bytes = Vec::new();
    for number in 0..1_200_000_u32 {
        write!(
            bytes,
            "{:x}{}",
            number.wrapping_mul(0x9e37_79b9),
            if number % 9 == 0 { '\n' } else { ' ' }
        )
        .expect("memory");
        if number % 100 == 0 {
            bytes.extend(b"often ");
        }
    }
    let path = place.file("distinct", &bytes);
    let figures = check(&path);
    assert!(figures["distinct_words"].is_null());
    let first = &figures["top"][0];
    assert_eq!(first["word"], "often");
    assert!((number(first, "at_least")..=number(first, "at_most")).contains(&12_000), "{first}");

    let output = demo().arg(&path).output().expect("the demo starts");
    let said = String::from_utf8(output.stdout).expect("it is text");
    assert!(said.contains("≈12"), "{said}");
    assert!(said.contains("too high"), "{said}");
}

#[test]
fn a_big_file_stays_within_the_memory_that_was_promised() {
    let place = Place::new();
    let path = place.path().join("big");
    let mut file = File::create(&path).expect("a file");
    let mut dice = Dice(2);
    // Half of it text, half of it noise.
    for _ in 0..32 {
        file.write_all(&text(1 << 20)).expect("room on the disk");
        let noise: Vec<u8> = (0..1 << 17).flat_map(|_| dice.roll().to_le_bytes()).collect();
        file.write_all(&noise).expect("room on the disk");
    }
    drop(file);
    let figures = check(&path);
    assert!(number(&figures, "bytes") >= 64 << 20);
    assert!(number(&figures["stream"], "parts") >= 64);
}

#[test]
fn a_pipe_is_counted_to_its_end() {
    let place = Place::new();
    for bytes in [&b"through a pipe\n"[..], &text(20 << 20)] {
        let path = place.file("same", bytes);
        let mut child = demo()
            .args(["--json", "/dev/stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        child.stdin.take().expect("a pipe").write_all(bytes).expect("it reads on");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success());
        let figures = parsed(&output.stdout);
        assert_eq!(counts(&figures), wc(&path));
        a_counter_was_killed(&figures["killed"]);
    }
}
