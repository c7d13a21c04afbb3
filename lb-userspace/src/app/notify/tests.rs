use super::*;

#[test]
fn an_abstract_socket_is_told() {
    let name = format!("lb-notify-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    send(OsStr::new(&format!("@{name}")), State::Ready).unwrap();
    let mut said = [0; 64];
    let length = manager.recv(&mut said).unwrap();
    assert_eq!(&said[..length], b"READY=1\n");
}

#[test]
fn a_manager_that_is_gone_is_an_error_and_no_more() {
    assert!(send(OsStr::new("/nonexistent/notify"), State::Stopping).is_err());
}
