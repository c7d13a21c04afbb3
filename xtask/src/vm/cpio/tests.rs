use super::*;

/// Reads names, modes and contents back.
fn entries(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut found = Vec::new();
    let mut offset = 0;
    while !bytes.is_empty() {
        assert_eq!(&bytes[..6], b"070701");
        let field = |i: usize| {
            let digits = std::str::from_utf8(&bytes[6 + i * 8..][..8]).expect("ASCII");
            u32::from_str_radix(digits, 16).expect("hexadecimal") as usize
        };
        let (mode, size, name_size) = (field(1), field(6), field(11));
        let name = String::from_utf8(bytes[110..110 + name_size - 1].to_vec()).expect("UTF-8");
        let start = (offset + 110 + name_size).next_multiple_of(4) - offset;
        let end = (offset + start + size).next_multiple_of(4) - offset;
        let mode = u32::try_from(mode).expect("32 bits");
        found.push((name, mode, bytes[start..start + size].to_vec()));
        offset += end;
        bytes = &bytes[end..];
    }
    found
}

#[test]
fn files_come_after_the_directories_above_them() {
    let mut archive = Archive::default();
    archive.add_file("lib/x/libc.so", 0o755, b"12345");
    archive.add_file("lib/x/libm.so", 0o644, b"");
    archive.add_file("init", 0o755, b"#!");
    let bytes = archive.finish();
    assert_eq!(bytes.len() % 4, 0);
    let expected = [
        ("lib", 0o040_755, ""),
        ("lib/x", 0o040_755, ""),
        ("lib/x/libc.so", 0o100_755, "12345"),
        ("lib/x/libm.so", 0o100_644, ""),
        ("init", 0o100_755, "#!"),
        ("TRAILER!!!", 0, ""),
    ]
    .map(|(name, mode, contents)| (name.to_owned(), mode, contents.as_bytes().to_vec()));
    assert_eq!(entries(&bytes), expected);
}
