use super::*;

#[test]
fn nightly_comes_first_then_stable_then_numbered_releases() {
    let mut names = [
        "1.95.0-x86_64-unknown-linux-gnu",
        "stable-x86_64-unknown-linux-gnu",
        "nightly-2026-05-20-x86_64-unknown-linux-gnu",
        "1.96.0-x86_64-unknown-linux-gnu",
        "nightly-2026-11-01-x86_64-unknown-linux-gnu",
        "nightly-x86_64-unknown-linux-gnu",
    ]
    .map(str::to_owned);
    sort_by_preference(&mut names);
    let order = names.map(|name| name.replace("-x86_64-unknown-linux-gnu", ""));
    assert_eq!(
        order,
        [
            "nightly",
            "nightly-2026-11-01",
            "nightly-2026-05-20",
            "stable",
            "1.96.0",
            "1.95.0"
        ]
    );
}

#[test]
fn a_nested_cargo_forgets_the_outer_ones_choices() {
    for name in [
        "CARGO",
        "CARGO_MANIFEST_DIR",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "CLIPPY_ARGS",
        "OUT_DIR",
        "TARGET",
        "OPT_LEVEL",
    ] {
        assert!(is_outer_cargo_variable(name), "{name}");
    }
}

#[test]
fn a_nested_cargo_keeps_what_concerns_the_machine() {
    for name in [
        "PATH",
        "HOME",
        "HOSTNAME",
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_OFFLINE",
        "CARGO_HTTP_PROXY",
        "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
        "RUSTUP_HOME",
        "RUSTUP_DIST_SERVER",
        "RUST_BACKTRACE",
        "https_proxy",
    ] {
        assert!(!is_outer_cargo_variable(name), "{name}");
    }
}
