//! Single values: numbers, durations, names, addresses.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Field, Reader};
use crate::config::address::{self, AddressError};
use crate::config::duration::{self, DurationError};
use crate::config::tree::{Text, Value};

impl Reader<'_> {
    /// `true` or `false`, and nothing that YAML 1.1 took for them.
    pub(in crate::config) fn boolean(&mut self, field: Field<'_>) -> Option<bool> {
        if let Value::Text(text) = &field.node.value
            && (text.plain || text.written.is_some())
        {
            match &*text.text {
                "true" => return Some(true),
                "false" => return Some(false),
                _ => {}
            }
        }
        self.wrong_type(field, "`true` or `false`");
        None
    }

    /// A whole number in decimal.
    pub(in crate::config) fn number(
        &mut self,
        field: Field<'_>,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let Value::Text(text) = &field.node.value else {
            self.wrong_type(field, "a whole number");
            return None;
        };
        let (name, place, shown) = (&field.key.text, field.node.place, text.shown());
        let digits = text.text.strip_prefix('-').unwrap_or(&text.text);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            let underscores = digits.replace(['_', ','], "");
            let grouped =
                !underscores.is_empty() && underscores.bytes().all(|b| b.is_ascii_digit());
            let error = self.error(place, format!("`{name}` is a whole number, not `{shown}`"));
            if grouped && text.written.is_none() {
                error.hint(format!("write it without separators: {underscores}"));
            }
            return None;
        }
        if !text.plain && text.written.is_none() {
            self.error(place, format!("`{name}` is a whole number, not text"))
                .hint(format!("write {shown} without quotes"));
            return None;
        }
        match text
            .text
            .parse()
            .ok()
            .filter(|number| range.contains(number))
        {
            Some(number) => Some(number),
            None => {
                let (low, high) = (range.start(), range.end());
                self.error(
                    place,
                    format!("`{name}` is from {low} to {high}, not {shown}"),
                );
                None
            }
        }
    }

    /// A duration with a unit.
    pub(in crate::config) fn duration(
        &mut self,
        field: Field<'_>,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let Value::Text(text) = &field.node.value else {
            self.wrong_type(field, "a duration such as 2s");
            return None;
        };
        let (name, place, shown) = (&field.key.text, field.node.place, text.shown());
        match duration::parse(&text.text) {
            Ok(duration) if range.contains(&duration) => Some(duration),
            Ok(_) | Err(DurationError::TooLong) => {
                let (low, high) = (duration::show(*range.start()), duration::show(*range.end()));
                self.error(
                    place,
                    format!("`{name}` is from {low} to {high}, not {shown}"),
                );
                None
            }
            Err(why) => {
                let why = match why {
                    DurationError::UnknownUnit(_) if text.written.is_some() => {
                        "has an unknown unit".to_owned()
                    }
                    why => why.to_string(),
                };
                let error = self.error(place, format!("`{name}: {shown}` {why}"));
                error.hint(match why.as_str() {
                    "has no unit" => {
                        format!("write {shown}s for seconds, {shown}ms for milliseconds")
                    }
                    _ => "units are ms, s, m and h: 250ms, 2s, 5m, 24h".to_owned(),
                });
                None
            }
        }
    }

    /// A name of a pool, server or service: it is typed on command lines and read in logs.
    pub(in crate::config) fn name<'n>(&mut self, field: Field<'n>) -> Option<&'n Text> {
        const LONGEST: usize = 64;
        let text = self.text(field, "a name")?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let starts_well = text
            .text
            .starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if starts_well && text.text.chars().all(allowed) && text.text.len() <= LONGEST {
            return Some(text);
        }
        let shown = text.shown();
        self.error(field.node.place, format!("`{shown}` cannot be a name"))
            .hint(format!(
                "letters, digits, `_`, `-` and `.`, at most {LONGEST}, the first a letter or digit"
            ));
        None
    }

    /// `ADDRESS:PORT`.
    pub(in crate::config) fn socket(&mut self, field: Field<'_>) -> Option<SocketAddr> {
        let text = self.text(field, "an address and port")?;
        let parsed = address::socket(&text.text);
        self.address(field, text, parsed)
    }

    /// An address without port.
    pub(in crate::config) fn ip(&mut self, field: Field<'_>) -> Option<IpAddr> {
        let text = self.text(field, "an address")?;
        let parsed = address::ip(&text.text);
        self.address(field, text, parsed)
    }

    fn address<T>(
        &mut self,
        field: Field<'_>,
        text: &Text,
        parsed: Result<T, AddressError>,
    ) -> Option<T> {
        match parsed {
            Ok(address) => Some(address),
            Err(why) => {
                let message = format!("`{}: {}`: {why}", field.key.text, text.shown());
                let error = self.error(field.node.place, message);
                // A hint may repeat the value, and this one came from the environment.
                if let Some(hint) = why.hint().filter(|_| text.written.is_none()) {
                    error.hint(hint);
                }
                None
            }
        }
    }
}
