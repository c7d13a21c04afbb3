//! Durations as the configuration writes them: `250ms`, `2s`, `1m30s`, `24h`.

use std::fmt::Write as _;
use std::time::Duration;

/// Units, largest first, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// `90`.
    #[error("has no unit")]
    NoUnit,
    /// `5d`.
    #[error("has the unknown unit `{0}`")]
    UnknownUnit(String),
    /// `2 s`.
    #[error("is not a duration")]
    Malformed,
    /// More milliseconds than a number holds.
    #[error("is too long")]
    TooLong,
}

/// Whole numbers with a unit each, larger units first, without spaces.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut largest_allowed = u64::MAX;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        if digits == 0 {
            return Err(DurationError::Malformed);
        }
        let (number, tail) = rest.split_at(digits);
        let unit_len = tail
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        if unit.is_empty() {
            // `1.5s` and `2 s` are malformed; `90` lacks a unit.
            let bare = tail.is_empty() && total == 0;
            return Err(if bare {
                DurationError::NoUnit
            } else {
                DurationError::Malformed
            });
        }
        let Some((_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(DurationError::UnknownUnit(unit.to_owned()));
        };
        if *millis >= largest_allowed {
            return Err(DurationError::Malformed);
        }
        largest_allowed = *millis;
        let number: u64 = number.parse().map_err(|_| DurationError::TooLong)?;
        let part = number.checked_mul(*millis).ok_or(DurationError::TooLong)?;
        total = total.checked_add(part).ok_or(DurationError::TooLong)?;
        rest = tail;
    }
    if text.is_empty() {
        return Err(DurationError::Malformed);
    }
    Ok(Duration::from_millis(total))
}

/// The shortest text that [`parse`] reads back; less than a millisecond is cut off.
pub(super) fn show(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, millis) in UNITS {
        let number = rest / millis;
        rest %= millis;
        if number > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{number}{unit}");
        }
    }
    text
}
