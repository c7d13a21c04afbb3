//! Files and `include`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::REST;
use crate::config::{Loaded, Source, load, parse};

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // A pattern's character in the path: the folder's own name is no pattern.
        let name = format!("lb-config-[{}]-{count}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(folder.0.join("conf.d")).unwrap();
        for (name, text) in files {
            fs::write(folder.0.join(name), text).unwrap();
        }
        folder
    }

    /// The report with the folder's name left out.
    fn load(&self) -> Result<Loaded, String> {
        let folder = format!("{}/", self.0.display());
        load(&self.0.join("lb.yaml")).map_err(|errors| errors.to_string().replace(&folder, ""))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded
        .config
        .services
        .iter()
        .map(|service| service.name.as_str())
        .collect()
}

fn service(name: &str, address: &str) -> String {
    format!("services: [{{ name: {name}, listen: \"{address}:80\", pool: p }}]\n")
}

#[test]
fn included_files_are_joined_in_order() {
    let folder = Folder::new(&[
        (
            "lb.yaml",
            &format!("include: [conf.d/*.yaml, last.yaml]{REST}"),
        ),
        ("conf.d/20-b.yaml", &service("b", "192.0.2.3")),
        (
            "conf.d/10-a.yaml",
            &format!("include: sub.yml\n{}", service("a", "192.0.2.2")),
        ),
        ("conf.d/sub.yml", &service("sub", "192.0.2.5")),
        ("conf.d/.hidden.yaml", "not: [yaml"),
        ("conf.d/readme.txt", "not: [yaml"),
        (
            "last.yaml",
            &format!(
                "{}dataplane: {{ interfaces: [eth0] }}\n",
                service("z", "192.0.2.4")
            ),
        ),
    ]);
    let loaded = folder.load().unwrap();
    assert_eq!(names(&loaded), ["s", "a", "b", "z", "sub"]);
    assert_eq!(loaded.config.dataplane.interfaces, ["eth0"]);
    assert_eq!(loaded.files().count(), 5);
}

#[test]
fn the_same_name_twice_names_both_places() {
    let folder = Folder::new(&[
        (
            "lb.yaml",
            &format!("include: [conf.d/*.yaml]{REST}log: {{ level: info }}\n"),
        ),
        (
            "conf.d/a.yaml",
            &format!("{}log: {{ level: debug }}\n", service("s", "192.0.2.1")),
        ),
    ]);
    let report = folder.load().unwrap_err();
    let expected = "\
conf.d/a.yaml:1:20: there is already a service named `s`
  1 | services: [{ name: s, listen: \"192.0.2.1:80\", pool: p }]
    |                    ^ it is at lb.yaml:7:11
conf.d/a.yaml:1:31: `192.0.2.1:80` is already listened on
  1 | services: [{ name: s, listen: \"192.0.2.1:80\", pool: p }]
    |                               ^^^^^^^^^^^^^^ at lb.yaml:8:13
conf.d/a.yaml:2:8: `level` is already set at lb.yaml:10:8
  2 | log: { level: debug }
    |        ^^^^^
3 errors";
    assert_eq!(report, expected);
}

#[test]
fn a_pattern_may_match_nothing_and_a_path_may_not() {
    let folder = Folder::new(&[("lb.yaml", &format!("include: [\"none/*.yaml\"]{REST}"))]);
    folder.load().unwrap();
    let folder = Folder::new(&[("lb.yaml", &format!("include: [none.yaml, conf.d]{REST}"))]);
    let report = folder.load().unwrap_err();
    assert!(
        report.contains("lb.yaml:1:11: none.yaml: cannot be read: No such file"),
        "{report}"
    );
    assert!(
        report.contains("lb.yaml:1:22: conf.d: cannot be read: Is a directory"),
        "{report}"
    );
}

#[test]
fn a_file_is_read_once_even_if_it_includes_itself() {
    let folder = Folder::new(&[
        (
            "lb.yaml",
            &format!("include: [\"*.yaml\", a.yaml, conf.d/../a.yaml]{REST}"),
        ),
        (
            "a.yaml",
            &format!("include: [lb.yaml]\n{}", service("a", "192.0.2.2")),
        ),
    ]);
    assert_eq!(names(&folder.load().unwrap()), ["s", "a"]);
}

#[test]
fn a_file_that_cannot_be_read_is_one_error() {
    let report = load(Path::new("/does/not/exist.yaml"))
        .unwrap_err()
        .to_string();
    assert!(
        report.starts_with("/does/not/exist.yaml: cannot be read: No such file"),
        "{report}"
    );
    let folder = Folder::new(&[]);
    fs::write(folder.0.join("lb.yaml"), b"a: b\nc: \xff\n").unwrap();
    let report = folder.load().unwrap_err();
    assert!(
        report.contains("lb.yaml: is not UTF-8 text (line 2)"),
        "{report}"
    );
    fs::write(folder.0.join("lb.yaml"), vec![b'\n'; (4 << 20) + 1]).unwrap();
    let report = folder.load().unwrap_err();
    assert!(report.contains("lb.yaml: is larger than 4 MiB"), "{report}");
}

#[test]
fn mistakes_in_all_files_are_reported_in_their_order() {
    let sources = vec![
        Source::new("one.yaml", "log: { level: loud }\n"),
        Source::new("two.yaml", "dataplane: [\n"),
        Source::new("three.yaml", "\r\nservices:\r\n- { naem: x }\r\n"),
    ];
    let errors = parse(sources, &|_| None).unwrap_err();
    let report = errors.to_string();
    let places: Vec<&str> = report
        .lines()
        .filter(|l| l.contains(".yaml:"))
        .filter_map(|l| l.split(": ").next())
        .collect();
    assert_eq!(
        places,
        [
            "one.yaml:1:15",
            "two.yaml:1:12",
            "three.yaml:3:3",
            "three.yaml:3:3",
            "three.yaml:3:5"
        ],
        "{report}"
    );
}

#[test]
fn the_examples_are_valid() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut seen = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        let loaded = load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(
            loaded.warnings.is_empty(),
            "{}: {:?}",
            path.display(),
            loaded.warnings
        );
        seen += 1;
    }
    assert!(seen >= 3);
}
