use super::*;

fn llvm(major: u32, minor: u32) -> Version {
    Version {
        major,
        minor,
        patch: 0,
    }
}

fn linker(path: &str, version: Version) -> Linker {
    Linker {
        path: path.into(),
        llvm: version,
    }
}

#[test]
fn the_first_linker_that_is_not_older_is_chosen() {
    let linkers = [
        linker("/path/old", llvm(21, 1)),
        linker("/path/newer", llvm(23, 0)),
        linker("/cache/same", llvm(22, 1)),
    ];
    let chosen = |version| choose(&linkers, version).map(|linker| linker.path.clone());
    assert_eq!(chosen(llvm(22, 1)), Some("/path/newer".into()));
    assert_eq!(chosen(llvm(21, 0)), Some("/path/old".into()));
    assert_eq!(chosen(llvm(24, 0)), None);
}

#[test]
fn minor_releases_share_a_bitcode_format() {
    assert!(linker("/a", llvm(22, 0)).reads(llvm(22, 1)));
}

#[test]
fn a_program_that_is_not_there_is_no_linker() {
    assert_eq!(Linker::at(Path::new("/nonexistent/bpf-linker")), None);
}

#[test]
fn knows_llvms_library_by_its_name() {
    assert!(is_shared_llvm("libLLVM.so.22.1", 22));
    assert!(is_shared_llvm("libLLVM.so.22.1-rust-1.95.0-stable", 22));
    assert!(!is_shared_llvm("libLLVM.so.21.1", 22));
    assert!(!is_shared_llvm("libLLVM-22-rust-1.95.0-stable.so", 22));
    assert!(!is_shared_llvm("libLLVM.so", 22));
}
