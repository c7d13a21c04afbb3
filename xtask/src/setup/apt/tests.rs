use super::*;

#[test]
fn reads_the_version_that_would_be_installed() {
    let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n";
    assert_eq!(parse_candidate(policy), Version::parse("1.96.0"));
    assert_eq!(
        parse_candidate("x:\n  Candidate: 1:22.1.8-1\n"),
        Version::parse("22.1.8")
    );
}

#[test]
fn a_package_without_a_version_or_unknown_is_none() {
    assert_eq!(parse_candidate("x:\n  Candidate: (none)\n"), None);
    assert_eq!(parse_candidate(""), None);
    // None is less than any minimum.
    assert!(parse_candidate("") < Version::parse("1.95"));
}
