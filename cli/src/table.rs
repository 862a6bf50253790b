//! Rows under a head, for people to read.

use std::ops::Range;

/// Each column as wide as its widest cell; those of `numbers` to the right, words to
/// the left.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    numbers: Range<usize>,
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let rows: Vec<_> = [head.map(str::to_owned)].into_iter().chain(rows).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for ((at, cell), width) in row.iter().enumerate().zip(widths) {
            let gap = " ".repeat(width - cell.chars().count());
            let (before, after) =
                if numbers.contains(&at) { (gap.as_str(), "") } else { ("", gap.as_str()) };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_to_the_left_and_numbers_to_the_right() {
        let rows = [["a", "7", "x"], ["long", "1234", "y"]].map(|row| row.map(str::to_owned));
        let text = table(["NAME", "N", "END"], 1..2, rows);
        assert_eq!(text, "NAME     N  END\na        7  x\nlong  1234  y\n");
    }
}
