use super::*;

#[test]
fn finds_the_program_in_cargos_messages() {
    let message =
        r#"{"reason":"compiler-artifact","executable":"/t/debug/deps/packet-1","fresh":true}"#;
    assert_eq!(executable(message), Some("/t/debug/deps/packet-1"));
    assert_eq!(executable(r#"{"executable":null}"#), None);
}

#[test]
fn reads_what_ldd_prints() {
    let text = "\tlinux-vdso.so.1 (0x00007f25f5e11000)\n\
                \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f25ec81e000)\n\
                \t/lib64/ld-linux-x86-64.so.2 (0x00007f25f5e13000)\n";
    let paths = [
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib64/ld-linux-x86-64.so.2",
    ];
    assert_eq!(parse_ldd(text), paths.map(PathBuf::from));
}
