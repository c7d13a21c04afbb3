use super::*;

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lb-socket-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn config(&self) -> config::Control {
        config::Control {
            socket: self.0.join("run/control.sock"),
            mode: 0o640,
            group: None,
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn has_its_mode_and_goes_with_the_agent() {
    let directory = Directory::new("mode");
    let config = directory.config();
    let socket = Socket::bind(&config).unwrap();
    let mode = fs::metadata(&config.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(socket.path(), config.socket);
    drop(socket);
    let left = fs::read_dir(config.socket.parent().unwrap())
        .unwrap()
        .count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_a_dead_agent_left_is_replaced() {
    let directory = Directory::new("stale");
    let config = directory.config();
    fs::create_dir(config.socket.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(&config.socket).unwrap());
    assert!(config.socket.exists(), "std leaves the file behind");
    let _socket = Socket::bind(&config).unwrap();
    UnixStream::connect(&config.socket).unwrap();
}

#[tokio::test]
async fn a_living_agent_keeps_its_socket() {
    let directory = Directory::new("live");
    let config = directory.config();
    let first = Socket::bind(&config).unwrap();
    assert!(matches!(Socket::bind(&config), Err(Error::InUse(_))));
    UnixStream::connect(&config.socket).unwrap();
    drop(first);
    let second = Socket::bind(&config).unwrap();
    assert_eq!(second.path(), config.socket);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = Directory::new("file");
    let config = directory.config();
    fs::create_dir(config.socket.parent().unwrap()).unwrap();
    fs::write(&config.socket, "precious").unwrap();
    assert!(matches!(Socket::bind(&config), Err(Error::NotASocket(_))));
    assert_eq!(fs::read_to_string(&config.socket).unwrap(), "precious");
}

#[tokio::test]
async fn an_unknown_group_keeps_nobody_from_starting() {
    let directory = Directory::new("group");
    let config = config::Control {
        group: Some("no such group".into()),
        ..directory.config()
    };
    let _socket = Socket::bind(&config).unwrap();
    let owned = fs::metadata(&config.socket).unwrap();
    assert_eq!(owned.gid(), nix::unistd::getegid().as_raw());
}
