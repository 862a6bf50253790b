//! Puts the results of all parts together.
//!
//! What lies between a part's edges is counted at once, in whatever order the
//! parts come. The edges wait until all parts before them are there, since a
//! word may reach over any number of parts. A part counts once: when a worker
//! is taken for dead and its result comes after all, the second one is refused.
//!
//! | holds                             | at most |
//! |-----------------------------------|---------|
//! | [`Tally`], a million words        | 75 MiB  |
//! | edges that wait, [`PARTS_AHEAD`]  | 0.3 MiB |

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use super::keys::Keys;
use super::part::{Counts, Edges, PartResult};
use super::report::Report;
use super::tally::{Tally, WORDS_MAX};
use super::words::Run;

/// How far a part may be ahead of the first one missing.
pub(crate) const PARTS_AHEAD: u64 = 1024;

/// Counts a whole file from its parts.
pub(crate) struct Total {
    keys: Keys,
    counts: Counts,
    tally: Tally,
    /// The first part whose edges are not joined yet.
    next: u64,
    /// The edges of parts after `next`.
    waiting: BTreeMap<u64, Edges>,
    /// The run at the end of the part before `next`.
    open: Run,
}

impl Total {
    /// Begins a file. The workers take the same keys.
    pub(crate) fn new(keys: &Keys) -> Self {
        Self::with_limit(keys, WORDS_MAX)
    }

    fn with_limit(keys: &Keys, limit: usize) -> Self {
        Self {
            keys: *keys,
            counts: Counts::default(),
            tally: Tally::new(keys, limit),
            next: 0,
            waiting: BTreeMap::new(),
            open: Run::default(),
        }
    }

    /// Adds part number `index`, the first being 0.
    ///
    /// # Errors
    /// The total is then what it was.
    /// * `CountedBefore`: the part is in the total already.
    /// * `TooFarAhead`: wait for the parts before it.
    pub(crate) fn add(&mut self, index: u64, part: &PartResult) -> Result<(), Refusal> {
        if index < self.next || self.waiting.contains_key(&index) {
            return Err(Refusal::CountedBefore);
        }
        if index - self.next >= PARTS_AHEAD {
            return Err(Refusal::TooFarAhead);
        }
        self.counts.lines += part.counts.lines;
        self.counts.words += part.counts.words;
        self.counts.bytes += part.counts.bytes;
        self.counts.bare += part.counts.bare;
        for (key, count) in part.words() {
            self.tally.add(key, count);
        }
        self.waiting.insert(index, part.edges);
        while let Some(edges) = self.waiting.remove(&self.next) {
            self.join(&edges);
            self.next += 1;
        }
        Ok(())
    }

    fn join(&mut self, edges: &Edges) {
        match edges {
            Edges::Whole(run) => self.open.join(&self.keys, run),
            Edges::Split { first, last } => {
                self.open.join(&self.keys, first);
                self.close();
                self.open = *last;
            }
        }
    }

    fn close(&mut self) {
        if self.open.printable {
            self.counts.words += 1;
            self.tally.add(self.open.key(), 1);
        } else if self.open.len > 0 {
            self.counts.bare += 1;
        }
        self.open = Run::default();
    }

    /// Returns how many parts from the first one on are complete.
    pub(crate) fn parts_joined(&self) -> u64 {
        self.next
    }

    /// Ends a file of `parts` parts.
    ///
    /// # Errors
    /// [`PartMissing`] names the first part that is not in the total, or one
    /// that is and should not be.
    pub(crate) fn finish(mut self, parts: u64) -> Result<Report, PartMissing> {
        if self.next != parts || !self.waiting.is_empty() {
            return Err(PartMissing { part: self.next });
        }
        self.close();
        Ok(Report::new(self.counts, &self.tally))
    }
}

/// Why a part was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Refusal {
    /// The part is in the total already.
    CountedBefore,
    /// The part is [`PARTS_AHEAD`] or more after the first one missing.
    TooFarAhead,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountedBefore => f.write_str("this part has been counted before"),
            Self::TooFarAhead => {
                write!(f, "this part is {PARTS_AHEAD} parts or more after one that is missing")
            }
        }
    }
}

impl Error for Refusal {}

/// The file has ended and a part has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartMissing {
    pub(crate) part: u64,
}

impl fmt::Display for PartMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the parts do not make up the file: look at part {}", self.part)
    }
}

impl Error for PartMissing {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::super::count::Counter;
    use super::super::keys::tests::Dice;
    use super::super::part::PART_BYTES;
    use super::super::report::{Frequent, TOP};
    use super::super::words::{BLANK, CLASS, SHORT_MAX, Word, measure};
    use super::*;

    /// Lines, words, bytes and bare runs, and how often each word occurs.
    type Naive = (Counts, HashMap<Vec<u8>, u64>);

    /// Counts the simplest way there is.
    fn naive(file: &[u8]) -> Naive {
        let mut words: HashMap<Vec<u8>, u64> = HashMap::new();
        let mut counts = Counts { bytes: file.len() as u64, ..Counts::default() };
        counts.lines = file.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let runs = file.split(|&byte| CLASS[usize::from(byte)] == BLANK);
        for run in runs.filter(|run| !run.is_empty()) {
            if run.iter().any(u8::is_ascii_graphic) {
                counts.words += 1;
                *words.entry(run.to_vec()).or_default() += 1;
            } else {
                counts.bare += 1;
            }
        }
        (counts, words)
    }

    /// What a report must say of a file with few enough distinct words.
    fn expected(keys: &Keys, (counts, words): &Naive) -> Report {
        let mut all: Vec<Frequent> = words
            .iter()
            .map(|(bytes, &n)| {
                let mut run = Run::default();
                run.extend(keys, bytes, true);
                Frequent { word: run.key().into(), at_least: n, at_most: n }
            })
            .collect();
        all.sort_by(|a, b| {
            b.at_least.cmp(&a.at_least).then_with(|| a.word.key().compare(&b.word.key()))
        });
        let others_at_most = all.get(TOP).map_or(0, |word| word.at_most);
        all.truncate(TOP);
        Report { counts: *counts, distinct: Some(words.len() as u64), top: all, others_at_most }
    }

    /// Bytes with words short and long, blanks, bare runs and all else.
    fn make_file(dice: &mut Dice, len: usize) -> Vec<u8> {
        let alphabet: &[u8] = match dice.below(5) {
            0 => b"ab \n",
            1 => b"a\x00\x7f\xff\x0b\x0c\r\t ",
            2 => b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab ",
            3 => b"abcdefgh\x01\xc3\xa9'           \n",
            _ => b"",
        };
        (0..len)
            .map(|_| match alphabet {
                [] => dice.byte(),
                _ => alphabet[dice.below(alphabet.len())],
            })
            .collect()
    }

    /// Cuts `bytes` into pieces of up to `max` bytes, some of them empty.
    fn cut<'a>(dice: &mut Dice, mut bytes: &'a [u8], max: usize) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(dice.below(max + 1).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }

    fn count(dice: &mut Dice, keys: &Keys, part: &[u8]) -> PartResult {
        let mut counter = Counter::new(keys);
        let max = 1 + part.len().min(1 + dice.below(100_000));
        for chunk in cut(dice, part, max) {
            counter.push(chunk).unwrap();
        }
        PartResult::decode(&counter.finish().encode()).unwrap()
    }

    /// Counts `parts` in an order that is shuffled as far as a total allows.
    fn report(dice: &mut Dice, keys: &Keys, parts: &[&[u8]], limit: usize) -> Report {
        let mut total = Total::with_limit(keys, limit);
        let mut order: Vec<usize> = (0..parts.len()).collect();
        for at in 0..order.len() {
            let window = (order.len() - at).min(1 + dice.below(8));
            order.swap(at, at + dice.below(window));
        }
        let mut late = Vec::new();
        for index in order {
            let result = count(dice, keys, parts[index]);
            match total.add(index as u64, &result) {
                Ok(()) => {}
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::TooFarAhead);
                    late.push((index, result));
                }
            }
            if dice.below(4) == 0 && !late.iter().any(|(late, _)| *late == index) {
                let again = count(dice, keys, parts[index]);
                assert_eq!(total.add(index as u64, &again), Err(Refusal::CountedBefore));
            }
        }
        late.sort_by_key(|(index, _)| *index);
        for (index, result) in late {
            total.add(index as u64, &result).unwrap();
        }
        total.finish(parts.len() as u64).unwrap()
    }

    #[test]
    fn a_file_cut_anywhere_is_the_same_file() {
        for seed in 0..3000 {
            let mut dice = Dice(seed);
            let keys = dice.keys();
            let most = [10, 300, 5000][dice.below(3)];
            let len = dice.below(most);
            let file = make_file(&mut dice, len);
            let max = 1 + dice.below(len + 1);
            let parts = cut(&mut dice, &file, max);
            let want = expected(&keys, &naive(&file));
            let got = report(&mut dice, &keys, &parts, WORDS_MAX);
            assert_eq!(got, want, "seed {seed}");
            assert!(got.is_exact() && got.top_is_certain() && got.max_overcount() == 0);
        }
    }

    #[test]
    fn every_cut_of_a_small_file_is_the_same_file() {
        let mut dice = Dice(1);
        let keys = dice.keys();
        let long = "long-".repeat(9);
        let file = format!("a {long} \u{1}\u{1} bb\n{long} a");
        let want = expected(&keys, &naive(file.as_bytes()));
        for a in 0..=file.len() {
            for b in a..=file.len() {
                let parts = [&file[..a], &file[a..b], &file[b..]].map(str::as_bytes);
                assert_eq!(report(&mut dice, &keys, &parts, WORDS_MAX), want, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_word_may_reach_over_all_parts() {
        let mut dice = Dice(2);
        let keys = dice.keys();
        let file: Vec<u8> = (0..3 * PART_BYTES + 17).map(|_| dice.byte() | 0x80).collect();
        for end in ["", "x", " ", " x"] {
            let file = [&file, end.as_bytes()].concat();
            let parts: Vec<&[u8]> = file.chunks(PART_BYTES).collect();
            let got = report(&mut dice, &keys, &parts, WORDS_MAX);
            assert_eq!(got, expected(&keys, &naive(&file)));
        }
    }

    #[test]
    fn an_empty_file_has_nothing() {
        let keys = Dice(3).keys();
        let report = Total::new(&keys).finish(0).unwrap();
        assert_eq!(report, expected(&keys, &naive(b"")));
        assert_eq!((report.distinct, report.top.len()), (Some(0), 0));
    }

    #[test]
    fn with_too_many_words_the_counts_stay_exact_and_the_bounds_hold() {
        for seed in 0..200 {
            let mut dice = Dice(seed);
            let keys = dice.keys();
            let spread = 2 + dice.below(3000);
            let mut file = Vec::new();
            for _ in 0..5000 {
                let number = dice.below(spread) * dice.below(spread) / spread;
                write!(file, "{number:x} ").unwrap();
            }
            let limit = 20 + dice.below(500);
            let (counts, mut words) = naive(&file);
            let parts = cut(&mut dice, &file, 4000);
            let report = report(&mut dice, &keys, &parts, limit);
            assert_eq!(report.counts, counts);
            assert_eq!(report.is_exact(), words.len() <= limit, "seed {seed}");
            for frequent in &report.top {
                let Word::Short(bytes) = &frequent.word else { panic!("{frequent}") };
                let n = words.remove(&bytes[..]).unwrap();
                assert!((frequent.at_least..=frequent.at_most).contains(&n), "seed {seed}");
            }
            let most = words.values().max().copied().unwrap_or(0);
            assert!(most <= report.others_at_most, "seed {seed}");
            let least = report.top.iter().map(|word| word.at_least).min();
            if report.top_is_certain() {
                assert!(least.unwrap() >= most, "seed {seed}");
            }
        }
    }

    #[test]
    fn ties_are_in_bytewise_order() {
        let mut dice = Dice(4);
        let keys = dice.keys();
        let file = b"l k j i h g f e d c b a \xff! A B Z z";
        let report = report(&mut dice, &keys, &[file], WORDS_MAX);
        let shown: Vec<String> = report.top.iter().map(Frequent::to_string).collect();
        assert_eq!(shown, ["A 1", "B 1", "Z 1", "a 1", "b 1", "c 1", "d 1", "e 1", "f 1", "g 1"]);
        let estimate = Frequent { at_most: 5, ..report.top[0].clone() };
        assert_eq!(estimate.to_string(), "A 1..5");
    }

    #[test]
    fn a_part_counts_once_and_none_is_missing() {
        let mut dice = Dice(5);
        let keys = dice.keys();
        let part = count(&mut dice, &keys, b"a b");
        let mut total = Total::new(&keys);
        assert_eq!(total.add(PARTS_AHEAD, &part), Err(Refusal::TooFarAhead));
        assert_eq!(total.add(u64::MAX, &part), Err(Refusal::TooFarAhead));
        total.add(PARTS_AHEAD - 1, &part).unwrap();
        assert_eq!(total.add(PARTS_AHEAD - 1, &part), Err(Refusal::CountedBefore));
        total.add(0, &part).unwrap();
        assert_eq!(total.add(0, &part), Err(Refusal::CountedBefore));
        assert_eq!(total.parts_joined(), 1);
        assert_eq!(total.finish(PARTS_AHEAD), Err(PartMissing { part: 1 }));
        assert_eq!(Total::new(&keys).finish(1), Err(PartMissing { part: 0 }));
        for refusal in [Refusal::CountedBefore, Refusal::TooFarAhead] {
            assert!(refusal.to_string().starts_with("this part"));
        }
    }

    /// Asks the machine's own `wc` for lines, words and bytes.
    fn wc(file: &[u8]) -> [u64; 3] {
        let mut child = Command::new("wc")
            .arg("-lwc")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(file).unwrap();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let numbers: Vec<u64> = output.split_whitespace().map(|n| n.parse().unwrap()).collect();
        numbers.try_into().unwrap()
    }

    #[test]
    fn the_counts_are_those_of_wc() {
        let mut dice = Dice(6);
        let keys = dice.keys();
        let mut files = vec![
            Vec::new(),
            b"\n".to_vec(),
            b"no newline".to_vec(),
            vec![0; 1000],
            vec![b'x'; 2 * PART_BYTES + 1],
            (0..=255).collect(),
            (0..=255).flat_map(|byte| [byte, b' ']).collect(),
            (0..=255).flat_map(|byte| [b'a', byte, 1, b'\n']).collect(),
        ];
        for _ in 0..60 {
            let most = [100, 10_000, 300_000][dice.below(3)];
            let len = dice.below(most);
            files.push(make_file(&mut dice, len));
        }
        files.push(make_file(&mut dice, 3 * PART_BYTES));

        let takes_bare_runs = wc(b"\x01")[1] == 1;
        for file in files {
            let max = 1 + dice.below(PART_BYTES);
            let parts = cut(&mut dice, &file, max);
            let counts = report(&mut dice, &keys, &parts, WORDS_MAX).counts;
            let words = if takes_bare_runs { counts.words_bare_included() } else { counts.words };
            assert_eq!([counts.lines, words, counts.bytes], wc(&file));
        }
    }

    #[test]
    fn the_naive_count_knows_long_words_too() {
        // Guards the property tests: they must meet both kinds of words.
        let mut dice = Dice(7);
        let mut seen = [false; 2];
        for _ in 0..100 {
            let file = make_file(&mut dice, 5000);
            for word in naive(&file).1.keys() {
                assert_eq!(measure(word), (word.len(), true));
                seen[usize::from(word.len() > SHORT_MAX)] = true;
            }
        }
        assert_eq!(seen, [true; 2]);
    }
}
