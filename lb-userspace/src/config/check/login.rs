//! `user` and `password` of a check.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::config::reader::{Entry, Field, Reader};
use crate::config::{Bytes, Login};

/// Longest password file, in bytes.
const LONGEST: u64 = 4_096;
/// Permission bits of readers who are neither the owner nor of the group.
const OTHERS: u32 = 0o004;

/// `None`: something about it is wrong. `Some(None)`: none is there.
pub(super) fn read(r: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Option<Login>> {
    let user = r.optional(entry, "user", |r, f| {
        Some(r.text(f, "a name")?.text.clone())
    });
    let text = |r: &mut Reader<'_>, f: Field<'_>| {
        let text = r.text(f, "a password")?;
        Some(Bytes(text.text.clone().into_bytes()))
    };
    let given = r.optional(entry, "password", text);
    let filed = r.optional(entry, "password_file", file);
    let (user, given, filed) = (user?, given?, filed?);
    if let (Some(_), Some(_), Some(field)) = (&given, &filed, entry.get("password_file")) {
        r.error(
            field.key.place,
            "a check has `password` or `password_file`, not both",
        );
        return None;
    }
    match (user, given.or(filed)) {
        (user, Some(password)) => Some(Some(Login { user, password })),
        (None, None) => Some(None),
        (Some(_), None) => {
            let place = entry
                .get("user")
                .map_or(entry.place, |field| field.key.place);
            r.error(place, "`user` without a password")
                .hint("add `password` or `password_file`");
            None
        }
    }
}

/// The first line of a file.
fn file(r: &mut Reader<'_>, field: Field<'_>) -> Option<Bytes> {
    let path = &r.text(field, "a path")?.text;
    let open = || {
        let file = fs::File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        let mut content = Vec::new();
        file.take(LONGEST).read_to_end(&mut content)?;
        std::io::Result::Ok((mode, content))
    };
    let place = field.node.place;
    let (mode, content) = match open() {
        Ok(read) => read,
        Err(error) => {
            r.error(
                place,
                format!("`{}` cannot be read: {error}", field.key.text),
            );
            return None;
        }
    };
    if mode & OTHERS != 0 {
        r.warn(
            place,
            format!("everybody on this host can read `{}`", field.key.text),
        )
        .hint(format!("chmod o-r {path}"));
    }
    let line = content
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        r.error(
            place,
            format!("the first line of `{}` is empty", field.key.text),
        );
        return None;
    }
    Some(Bytes(line.to_vec()))
}
