use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::config::Bytes;

/// A server that answers each of these with that.
async fn check(
    login: Option<&Login>,
    replies: Vec<(&'static str, &'static str)>,
) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for (wanted, reply) in replies {
            let mut heard = vec![0; wanted.len()];
            stream.read_exact(&mut heard).await.unwrap();
            assert_eq!(String::from_utf8(heard).unwrap(), wanted);
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
        // Until the check goes away.
        let _ = stream.read(&mut [0; 16]).await;
    });
    let deadline = Instant::now() + Duration::from_secs(5);
    let result = ping(address, login, deadline).await;
    result.map(|_| ()).map_err(|failure| failure.to_string())
}

const PING: &str = "*1\r\n$4\r\nPING\r\n";

fn login(user: Option<&str>) -> Login {
    Login {
        user: user.map(str::to_owned),
        password: Bytes(b"hunter2".to_vec()),
    }
}

#[tokio::test]
async fn a_server_that_answers_pong_passes() {
    assert_eq!(check(None, vec![(PING, "+PONG\r\n")]).await, Ok(()));
}

#[tokio::test]
async fn a_login_comes_first() {
    let auth = "*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n";
    let replies = vec![(auth, "+OK\r\n"), (PING, "+PONG\r\n")];
    assert_eq!(check(Some(&login(None)), replies).await, Ok(()));
    let auth = "*3\r\n$4\r\nAUTH\r\n$2\r\nlb\r\n$7\r\nhunter2\r\n";
    let replies = vec![(auth, "+OK\r\n"), (PING, "+PONG\r\n")];
    assert_eq!(check(Some(&login(Some("lb"))), replies).await, Ok(()));
}

#[tokio::test]
async fn failures_say_what_came_and_hide_the_password() {
    assert_eq!(
        check(
            None,
            vec![(PING, "-LOADING Redis is loading the dataset in memory\r\n")]
        )
        .await,
        Err(r#"PING wanted +PONG, got "-LOADING Redis is loading the dataset in memory""#.into())
    );
    let auth = "*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n";
    assert_eq!(
        check(
            Some(&login(None)),
            vec![(auth, "-ERR hunter2 is wrong\r\n")]
        )
        .await,
        Err(r#"AUTH wanted +OK, got "-ERR *** is wrong""#.into())
    );
}
