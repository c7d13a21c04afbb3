use super::*;

#[test]
fn finds_the_package_behind_the_meta_package() {
    let output = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n";
    assert_eq!(
        parse_depends(output),
        Some("linux-image-6.1.0-56-cloud-amd64")
    );
    assert_eq!(parse_depends("busybox\n  Depends: libc6\n"), None);
    assert_eq!(parse_depends(""), None);
}
