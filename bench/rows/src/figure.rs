//! Statistics: medians, quantiles, ratios of rounds.

use std::time::Duration;

/// What a contender measured in one slice of time.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// How many operations there were.
    pub operations: u64,
    /// What the slice comes to, where it is neither a rate nor the median of its
    /// samples: bytes, wake-ups.
    pub value: Option<f64>,
    /// How long it took.
    pub elapsed: Duration,
    /// How long single operations took, in nanoseconds.
    pub samples: Vec<u32>,
}

/// What is made of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nanoseconds: the median of the samples, or, without any, the mean.
    Latency,
    /// Operations in a second.
    Rate,
    /// What the slice says.
    Value,
}

impl Slice {
    pub(crate) fn read(&self, reading: Reading) -> Option<f64> {
        let operations = self.operations as f64;
        let elapsed_ns = self.elapsed.as_nanos() as f64;
        match reading {
            Reading::Latency if self.samples.is_empty() => {
                (operations > 0.0).then(|| elapsed_ns / operations)
            }
            Reading::Latency => {
                let mut sorted = self.samples.clone();
                sorted.sort_unstable();
                quantile(&sorted, 0.5)
            }
            Reading::Rate => (elapsed_ns > 0.0).then(|| operations * 1e9 / elapsed_ns),
            Reading::Value => self.value,
        }
    }
}

/// The value below which the fraction `part` of `sorted` lies: the nearest one that
/// was measured, never one in between.
pub(crate) fn quantile(sorted: &[u32], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1).min(last)).map(|&value| f64::from(value))
}

/// The median: of an even number, the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0)
}

/// The median of the ratios of each round. The machine drifts by more than what is
/// compared; within one round it has no time to.
pub(crate) fn ratio(ours: &[f64], limit: &[f64]) -> Option<f64> {
    let each = ours.iter().zip(limit).filter(|(_, limit)| **limit > 0.0);
    median(&each.map(|(ours, limit)| ours / limit).collect::<Vec<_>>())
}

/// Everything one contender measured in all its slices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// What each slice comes to.
    pub(crate) values: Vec<f64>,
    /// The samples of all slices together, sorted once all are in.
    pub(crate) samples: Vec<u32>,
    pub(crate) operations: u64,
    pub(crate) cpu_ns: u64,
}

impl Series {
    /// One slice more, what it comes to, and the processor time it took.
    pub(crate) fn add(&mut self, slice: Slice, value: f64, cpu_ns: u64) {
        self.values.push(value);
        self.samples.extend(slice.samples);
        self.operations += slice.operations;
        self.cpu_ns += cpu_ns;
    }

    pub(crate) fn median(&self) -> Option<f64> {
        median(&self.values)
    }

    pub(crate) fn quantile(&self, part: f64) -> Option<f64> {
        quantile(&self.samples, part)
    }

    pub(crate) fn cpu_ns_per_op(&self) -> Option<f64> {
        (self.operations > 0).then(|| self.cpu_ns as f64 / self.operations as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let sorted: Vec<u32> = (1..=1000).collect();
        for (part, value) in
            [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)]
        {
            assert_eq!(quantile(&sorted, part), Some(value), "{part}");
        }
        assert_eq!(quantile(&[7], 0.999), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_ratio_is_of_each_round() {
        // The machine became four times slower half-way: the ratio does not see it.
        assert_eq!(ratio(&[2.0, 2.0, 8.0, 8.0], &[1.0, 1.0, 4.0, 4.0]), Some(2.0));
        assert_eq!(ratio(&[2.0], &[0.0]), None);
        assert_eq!(ratio(&[], &[]), None);
    }

    #[test]
    fn a_slice_is_read_as_its_row_wants() {
        let slice = Slice {
            operations: 4,
            elapsed: Duration::from_nanos(400),
            samples: vec![90, 80, 150, 80],
            value: Some(3.0),
        };
        assert_eq!(slice.read(Reading::Latency), Some(80.0));
        assert_eq!(slice.read(Reading::Rate), Some(1e7));
        assert_eq!(slice.read(Reading::Value), Some(3.0));
        let unsampled = Slice { samples: Vec::new(), ..slice };
        assert_eq!(unsampled.read(Reading::Latency), Some(100.0));
        assert_eq!(Slice::default().read(Reading::Latency), None);
        assert_eq!(Slice::default().read(Reading::Rate), None);
    }
}
