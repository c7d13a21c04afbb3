use super::*;

fn version(major: u32, minor: u32, patch: u32) -> Version {
    Version {
        major,
        minor,
        patch,
    }
}

#[test]
fn reads_versions_with_and_without_suffixes() {
    assert_eq!(Version::parse("1.96.0"), Some(version(1, 96, 0)));
    assert_eq!(Version::parse("1.95"), Some(version(1, 95, 0)));
    assert_eq!(Version::parse("1.97.0-nightly"), Some(version(1, 97, 0)));
    assert_eq!(
        Version::parse("1.96.0+dfsg1-1~deb12u2"),
        Some(version(1, 96, 0))
    );
    assert_eq!(
        Version::parse("22.1.8-rust-1.96.0"),
        Some(version(22, 1, 8))
    );
    assert_eq!(Version::parse("(none)"), None);
    assert_eq!(Version::parse(""), None);
}

#[test]
fn orders_by_number_and_not_by_text() {
    assert!(Version::parse("1.100.0") > Version::parse("1.95.0"));
    assert!(Version::parse("1.95.0") >= Version::parse("1.95"));
}

#[test]
fn reads_what_a_stable_compiler_says() {
    let output = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\n\
                  binary: rustc\n\
                  host: x86_64-unknown-linux-gnu\n\
                  release: 1.96.0\n\
                  LLVM version: 22.1.8\n";
    let compiler = CompilerVersion::parse(output).expect("complete output");
    assert_eq!(compiler.release, version(1, 96, 0));
    assert_eq!(compiler.llvm, version(22, 1, 8));
    assert_eq!(compiler.host, "x86_64-unknown-linux-gnu");
    assert!(!compiler.unstable);
}

#[test]
fn a_nightly_compiler_is_unstable() {
    let output = "host: x86_64-unknown-linux-gnu\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";
    assert!(CompilerVersion::parse(output).is_some_and(|compiler| compiler.unstable));
}

#[test]
fn a_compiler_without_llvm_is_no_use() {
    let output = "host: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
    assert_eq!(CompilerVersion::parse(output), None);
}

#[test]
fn reads_llvm_banners_of_vendors() {
    assert_eq!(
        parse_llvm_banner("Debian LLVM version 22.1.8\n  Optimized build.\n"),
        Some(version(22, 1, 8))
    );
    assert_eq!(
        parse_llvm_banner("LLVM (http://llvm.org/):\n  LLVM version 23.0.0-rust-1.99.0-nightly\n"),
        Some(version(23, 0, 0))
    );
    assert_eq!(
        parse_llvm_banner("error: unexpected argument '-version'"),
        None
    );
}
