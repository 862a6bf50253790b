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

/// A slice's figure and what it weighs. One with samples weighs as many as it has: on a
/// machine that others use, a slice in which we hardly ran says little.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weighed {
    pub(crate) value: f64,
    pub(crate) weight: u64,
}

/// The median: half of the weight lies below it, half above. Where the middle falls
/// between two values it is their mean.
pub(crate) fn median(values: &[Weighed]) -> Option<f64> {
    let mut sorted: Vec<Weighed> = values.iter().copied().filter(|one| one.weight > 0).collect();
    sorted.sort_unstable_by(|one, other| one.value.total_cmp(&other.value));
    let whole: u64 = sorted.iter().map(|one| one.weight).sum();
    let mut below = 0;
    for (at, one) in sorted.iter().enumerate() {
        below += one.weight;
        if 2 * below > whole {
            return Some(one.value);
        }
        if 2 * below == whole {
            let next = sorted.get(at + 1).map_or(one.value, |next| next.value);
            return Some((one.value + next) / 2.0);
        }
    }
    None
}

/// The median of the ratios of each round. The machine drifts by more than what is
/// compared; within one round it has no time to. A round weighs what its lighter slice
/// weighs.
pub(crate) fn ratio(ours: &[Weighed], limit: &[Weighed]) -> Option<f64> {
    let each = ours.iter().zip(limit).filter(|(_, limit)| limit.value > 0.0);
    let ratios = each.map(|(ours, limit)| Weighed {
        value: ours.value / limit.value,
        weight: ours.weight.min(limit.weight),
    });
    median(&ratios.collect::<Vec<_>>())
}

/// Everything one contender measured in all its slices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    /// What each slice comes to.
    pub(crate) values: Vec<Weighed>,
    /// The samples of all slices together, sorted once all are in.
    pub(crate) samples: Vec<u32>,
    pub(crate) operations: u64,
    pub(crate) cpu_ns: u64,
}

impl Series {
    /// One slice more, what it comes to, and the processor time it took.
    pub(crate) fn add(&mut self, slice: Slice, value: f64, cpu_ns: u64) {
        self.values.push(Weighed { value, weight: slice.samples.len().max(1) as u64 });
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

    fn equal(values: &[f64]) -> Vec<Weighed> {
        values.iter().map(|&value| Weighed { value, weight: 1 }).collect()
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&equal(&[3.0])), Some(3.0));
        assert_eq!(median(&equal(&[9.0, 1.0, 2.0])), Some(2.0));
        assert_eq!(median(&equal(&[4.0, 1.0, 2.0, 9.0])), Some(3.0));
    }

    #[test]
    fn a_slice_that_hardly_ran_says_little() {
        // Three slices of one sample each, in which we were preempted; one whole one.
        let mut values = equal(&[5e6, 6e6, 7e6]);
        values.push(Weighed { value: 500.0, weight: 20_000 });
        assert_eq!(median(&values), Some(500.0));
        let limit: Vec<_> = values.iter().map(|one| Weighed { value: 250.0, ..*one }).collect();
        assert_eq!(ratio(&values, &limit), Some(2.0));
        assert_eq!(median(&[Weighed { value: 1.0, weight: 0 }]), None);
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
        let (ours, limit) = (equal(&[2.0, 2.0, 8.0, 8.0]), equal(&[1.0, 1.0, 4.0, 4.0]));
        assert_eq!(ratio(&ours, &limit), Some(2.0));
        assert_eq!(ratio(&equal(&[2.0]), &equal(&[0.0])), None);
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
