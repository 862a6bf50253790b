//! How memory that is lent, or sealed, is named inside a message.
//!
//! Regions follow the rights: a head of 8 bytes (how many there are, and whether the
//! first of them is the body), then 32 bytes for each.
//!
//! | offset | bytes | field        | of a loan                  | of a sealed region |
//! |--------|-------|--------------|----------------------------|--------------------|
//! | 0      | 1     | `kind`       | 1                          | 2                  |
//! | 1      | 3     | -            | zero                       | zero               |
//! | 4      | 4     | `memory`     | the number it was offered by | zero             |
//! | 8      | 4     | `place`      | which word returns it      | zero               |
//! | 12     | 4     | `at`         | first page of it           | zero               |
//! | 16     | 8     | `generation` | what is written there      | zero               |
//! | 24     | 8     | `length`     | bytes                      | bytes              |
//!
//! A loan is returned by a store: the reader writes the generation into the word of
//! that place in its own page. So it needs no frame and no system call, and what the
//! peer writes there frees nothing but what the peer itself was lent.

use crate::{Offence, limits, u16_at, u32_at, u64_at};

/// Bytes before the first region.
pub const HEAD_BYTES: usize = 8;

/// Bytes of one region.
pub const REGION_BYTES: usize = 32;

/// Where a loan may begin.
pub const PAGE: u64 = 4096;

/// A chunk of the sender's memory that the reader may read until it returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Loan {
    /// The number its memory was offered by.
    pub memory: u32,
    /// Which word of the reader's page returns it.
    pub place: u32,
    /// The page of the memory that it begins at.
    pub page: u32,
    /// What the reader writes there when it is done.
    pub generation: u64,
    /// Bytes of it.
    pub length: u64,
}

impl Loan {
    /// The first byte of it in its memory.
    pub const fn at(&self) -> u64 {
        self.page as u64 * PAGE
    }
}

/// A region in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegionRef {
    /// Memory of the sender's, until it is returned.
    Lent(Loan),
    /// Memory that nobody can write any more; its descriptor came with the message.
    Sealed {
        /// Bytes of it.
        length: u64,
    },
}

impl RegionRef {
    fn encode(&self, out: &mut Vec<u8>) {
        let (kind, loan) = match *self {
            RegionRef::Lent(loan) => (1_u32, loan),
            RegionRef::Sealed { length } => {
                (2, Loan { memory: 0, place: 0, page: 0, generation: 0, length })
            }
        };
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&loan.memory.to_le_bytes());
        out.extend_from_slice(&loan.place.to_le_bytes());
        out.extend_from_slice(&loan.page.to_le_bytes());
        out.extend_from_slice(&loan.generation.to_le_bytes());
        out.extend_from_slice(&loan.length.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, Offence> {
        const SHORT: Offence = Offence::FrameTruncated;
        let loan = Loan {
            memory: u32_at(bytes, 4).ok_or(SHORT)?,
            place: u32_at(bytes, 8).ok_or(SHORT)?,
            page: u32_at(bytes, 12).ok_or(SHORT)?,
            generation: u64_at(bytes, 16).ok_or(SHORT)?,
            length: u64_at(bytes, 24).ok_or(SHORT)?,
        };
        if loan.length == 0 {
            return Err(Offence::LoanMalformed);
        }
        match u32_at(bytes, 0).ok_or(SHORT)? {
            1 if loan.place < limits::LOANS && loan.length <= limits::CHUNK_BYTES as u64 => {
                Ok(RegionRef::Lent(loan))
            }
            2 if loan.length <= limits::MESSAGE_BYTES => {
                Ok(RegionRef::Sealed { length: loan.length })
            }
            _ => Err(Offence::LoanMalformed),
        }
    }
}

/// Appends the body that is lent, if there is one, and the regions.
pub(crate) fn encode_all(body: Option<&Loan>, regions: &[RegionRef], out: &mut Vec<u8>) {
    let count = regions.len() + usize::from(body.is_some());
    out.extend_from_slice(&(count as u16).to_le_bytes());
    out.extend_from_slice(&u16::from(body.is_some()).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    if let Some(body) = body {
        RegionRef::Lent(*body).encode(out);
    }
    for region in regions {
        region.encode(out);
    }
}

/// Bytes of one region, its head included.
pub const ONE_BYTES: usize = HEAD_BYTES + REGION_BYTES;

/// What [`encode_all`] writes of one loan and nothing else.
pub(crate) fn one(loan: &Loan, is_body: bool) -> [u8; ONE_BYTES] {
    let words = [
        1 | u64::from(is_body) << 16,
        1 | u64::from(loan.memory) << 32,
        u64::from(loan.place) | u64::from(loan.page) << 32,
        loan.generation,
        loan.length,
    ];
    let mut bytes = [0; ONE_BYTES];
    for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    bytes
}

/// Reads one loan and nothing else, and whether it is the body.
pub(crate) fn the_one(bytes: &[u8]) -> Option<(Loan, bool)> {
    let (head, region) = bytes.split_at_checked(HEAD_BYTES)?;
    if region.len() != REGION_BYTES || u16_at(head, 0) != Some(1) {
        return None;
    }
    let is_body = match u16_at(head, 2)? {
        0 => false,
        1 => true,
        _ => return None,
    };
    match RegionRef::decode(region).ok()? {
        RegionRef::Lent(loan) => Some((loan, is_body)),
        RegionRef::Sealed { .. } => None,
    }
}

/// A body that is lent, the regions, and the bytes they took.
type All = (Option<Loan>, Vec<RegionRef>, usize);

/// Reads what [`encode_all`] wrote.
pub(crate) fn decode_all(bytes: &[u8]) -> Result<All, Offence> {
    const SHORT: Offence = Offence::FrameTruncated;
    let count = usize::from(u16_at(bytes, 0).ok_or(SHORT)?);
    let with_body = match u16_at(bytes, 2).ok_or(SHORT)? {
        0 => false,
        1 => true,
        _ => return Err(Offence::LoanMalformed),
    };
    if count > limits::MESSAGE_REGIONS + usize::from(with_body) {
        return Err(Offence::FrameOversized);
    }
    if count == 0 {
        return Err(Offence::LoanMalformed);
    }
    let used = HEAD_BYTES + count * REGION_BYTES;
    let all = bytes.get(HEAD_BYTES..used).ok_or(SHORT)?;
    let mut regions = Vec::with_capacity(count);
    for bytes in all.chunks_exact(REGION_BYTES) {
        regions.push(RegionRef::decode(bytes)?);
    }
    if !with_body {
        return Ok((None, regions, used));
    }
    match regions.remove(0) {
        RegionRef::Lent(body) => Ok((Some(body), regions, used)),
        RegionRef::Sealed { .. } => Err(Offence::LoanMalformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAN: Loan = Loan { memory: 3, place: 7, page: 16, generation: 1 << 40, length: 70_000 };

    fn written(body: Option<&Loan>, regions: &[RegionRef]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_all(body, regions, &mut bytes);
        bytes
    }

    #[test]
    fn regions_come_back_in_order() {
        let regions = [RegionRef::Sealed { length: 9 }, RegionRef::Lent(LOAN)];
        for body in [None, Some(LOAN)] {
            let bytes = written(body.as_ref(), &regions);
            assert_eq!(decode_all(&bytes), Ok((body, regions.to_vec(), bytes.len())));
            for end in 0..bytes.len() {
                assert!(decode_all(&bytes[..end]).is_err());
            }
        }
        assert_eq!(LOAN.at(), 65_536);
    }

    #[test]
    fn one_loan_is_written_as_many_are() {
        assert_eq!(one(&LOAN, true).to_vec(), written(Some(&LOAN), &[]));
        assert_eq!(one(&LOAN, false).to_vec(), written(None, &[RegionRef::Lent(LOAN)]));
        for is_body in [false, true] {
            let bytes = one(&LOAN, is_body);
            assert_eq!(the_one(&bytes), Some((LOAN, is_body)));
            assert_eq!(
                (the_one(&bytes[..39]), the_one(&[&bytes[..], &[0]].concat())),
                (None, None)
            );
        }
        let many = [RegionRef::Lent(LOAN), RegionRef::Lent(LOAN)];
        assert_eq!(the_one(&written(None, &many)), None);
        assert_eq!(the_one(&written(None, &[RegionRef::Sealed { length: 9 }])), None);
        let odd = Loan { place: limits::LOANS, ..LOAN };
        assert_eq!(the_one(&one(&odd, true)), None);
    }

    #[test]
    fn what_nobody_could_lend_is_an_offence() {
        let odd = [
            Loan { place: limits::LOANS, ..LOAN },
            Loan { length: 0, ..LOAN },
            Loan { length: limits::CHUNK_BYTES as u64 + 1, ..LOAN },
        ];
        for odd in odd {
            let bytes = written(Some(&odd), &[]);
            assert_eq!(decode_all(&bytes), Err(Offence::LoanMalformed), "{odd:?}");
        }
        let long = RegionRef::Sealed { length: limits::MESSAGE_BYTES + 1 };
        assert_eq!(decode_all(&written(None, &[long])), Err(Offence::LoanMalformed));
        let many = [RegionRef::Lent(LOAN); limits::MESSAGE_REGIONS + 1];
        assert_eq!(decode_all(&written(None, &many)), Err(Offence::FrameOversized));
        assert_eq!(decode_all(&[0; 8]), Err(Offence::LoanMalformed));
        let mut no_loan = written(Some(&LOAN), &[]);
        no_loan[HEAD_BYTES] = 2;
        assert_eq!(decode_all(&no_loan), Err(Offence::LoanMalformed));
    }
}
