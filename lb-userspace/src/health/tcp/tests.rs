use tokio::net::TcpListener;

use super::*;

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_server_that_accepts_passes() {
    let (_listener, address) = listener().await;
    assert_eq!(connect(address).await, Ok("connected"));
}

#[tokio::test]
async fn nothing_listening_is_refused() {
    let (listener, address) = listener().await;
    drop(listener);
    assert!(matches!(connect(address).await, Err(Failure::Refused(_))));
}

/// What MySQL does: it speaks first, then waits for the client. It must see the end of the
/// connection, not an error.
#[tokio::test]
async fn a_server_that_greets_sees_an_orderly_end() {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&[b'x'; 4096]).await.unwrap();
        // The greeting has certainly arrived unread when the probe closes.
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(b"more").await.unwrap();
        let mut buffer = [0; 16];
        stream.read(&mut buffer).await
    });
    connect(address).await.unwrap();
    assert_eq!(server.await.unwrap().unwrap(), 0, "a FIN, no reset");
}

#[test]
fn this_hosts_own_troubles_are_not_the_servers() {
    let took = Duration::from_millis(1);
    let of = |errno| failure(&io::Error::from_raw_os_error(errno), took);
    assert!(matches!(of(libc::EMFILE), Failure::Local(_)));
    assert!(matches!(of(libc::EADDRNOTAVAIL), Failure::Local(_)));
    assert_eq!(of(libc::EHOSTUNREACH), Failure::HostUnreachable);
    assert_eq!(of(libc::ENETUNREACH), Failure::NetworkUnreachable);
    assert_eq!(of(libc::ETIMEDOUT), Failure::Timeout(took));
}
