//! Rates as the configuration writes them: `100/s`, `20/m`, `5/h`.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// So many in a second, a minute or an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    per: Per,
}

/// The time of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
}

/// Units of a rate.
const UNITS: [(&str, Per); 3] = [("s", Per::Second), ("m", Per::Minute), ("h", Per::Hour)];

/// Why a text is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RateError {
    #[error("does not say in which time")]
    NoUnit,
    #[error("has an unknown unit")]
    UnknownUnit,
    #[error("is not a rate")]
    Malformed,
    #[error("is not from 1 to {}", Rate::MOST)]
    OutOfRange,
}

impl Rate {
    /// Largest number of a rate: in a second, one each microsecond.
    pub const MOST: u32 = 1_000_000;

    /// How many.
    pub const fn count(self) -> u32 {
        self.count.get()
    }

    /// The time from one to the next.
    pub const fn interval(self) -> Duration {
        let seconds: u64 = match self.per {
            Per::Second => 1,
            Per::Minute => 60,
            Per::Hour => 3_600,
        };
        Duration::from_nanos(seconds * 1_000_000_000 / self.count.get() as u64)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, per)| *per == self.per);
        write!(f, "{}/{}", self.count, unit.map_or("", |(name, _)| name))
    }
}

/// A whole number, `/` and a unit, without spaces.
pub(super) fn parse(text: &str) -> Result<Rate, RateError> {
    let (count, unit) = match text.split_once('/') {
        Some((count, unit)) => (count, Some(unit)),
        None => (text, None),
    };
    if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RateError::Malformed);
    }
    let unit = unit.ok_or(RateError::NoUnit)?;
    let (_, per) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or(RateError::UnknownUnit)?;
    let count = count.parse().ok().filter(|count| *count <= Rate::MOST);
    let count = count.and_then(NonZeroU32::new);
    Ok(Rate {
        count: count.ok_or(RateError::OutOfRange)?,
        per,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let interval = |text| parse(text).map(Rate::interval);
        assert_eq!(interval("1/s"), Ok(Duration::from_secs(1)));
        assert_eq!(interval("100/s"), Ok(Duration::from_millis(10)));
        assert_eq!(interval("1000000/s"), Ok(Duration::from_micros(1)));
        assert_eq!(interval("20/m"), Ok(Duration::from_secs(3)));
        assert_eq!(interval("7/h").map(|i| i.as_secs()), Ok(514));
        for text in ["1/s", "20/m", "1000000/h"] {
            assert_eq!(
                parse(text).map(|rate| rate.to_string()).as_deref(),
                Ok(text)
            );
        }
    }

    #[test]
    fn what_is_no_rate() {
        for (text, why) in [
            ("100", RateError::NoUnit),
            ("100/", RateError::UnknownUnit),
            ("100/ms", RateError::UnknownUnit),
            ("100/S", RateError::UnknownUnit),
            ("100/s/s", RateError::UnknownUnit),
            ("0/s", RateError::OutOfRange),
            ("1000001/s", RateError::OutOfRange),
            ("99999999999999999999/s", RateError::OutOfRange),
            ("", RateError::Malformed),
            ("/s", RateError::Malformed),
            ("-1/s", RateError::Malformed),
            ("+1/s", RateError::Malformed),
            ("1.5/s", RateError::Malformed),
            ("1 /s", RateError::Malformed),
            ("s/1", RateError::Malformed),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }
}
