use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::config::{Bytes, Regex, Wanted};

/// What a server does on one connection.
enum Act {
    /// Waits for these bytes.
    Hear(&'static str),
    /// Sends.
    Say(&'static str),
    /// Lets what it said arrive by itself.
    Pause,
    /// Stays, and says nothing.
    Hang,
}

/// A server that does this on its first connection, that on its second.
async fn server(connections: Vec<Vec<Act>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for acts in connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            for act in acts {
                match act {
                    Act::Hear(text) => {
                        let mut heard = vec![0; text.len()];
                        stream.read_exact(&mut heard).await.unwrap();
                        assert_eq!(heard, text.as_bytes());
                    }
                    Act::Say(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                    Act::Pause => tokio::time::sleep(Duration::from_millis(20)).await,
                    Act::Hang => std::future::pending().await,
                }
            }
        }
    });
    address
}

fn send(text: &str) -> Step {
    Step::Send(Bytes(text.into()))
}

fn expect(text: &str) -> Step {
    let wanted = Wanted::Text(text.to_owned());
    Step::Expect(Pattern {
        wanted,
        absent: false,
    })
}

fn expect_not(text: &str) -> Step {
    let wanted = Wanted::Text(text.to_owned());
    Step::Expect(Pattern {
        wanted,
        absent: true,
    })
}

async fn check(connections: Vec<Vec<Act>>, steps: &[Step]) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_millis(500);
    let result = run(server(connections).await, steps, deadline).await;
    result.map(|_| ()).map_err(|failure| failure.to_string())
}

#[tokio::test]
async fn a_reply_is_found_however_it_arrives() {
    use Act::{Hear, Pause, Say};
    let acts = vec![
        Hear("PING\r\n"),
        Say("+P"),
        Pause,
        Say("ON"),
        Pause,
        Say("G\r\n"),
    ];
    assert_eq!(
        check(vec![acts], &[send("PING\r\n"), expect("+PONG")]).await,
        Ok(())
    );
}

#[tokio::test]
async fn one_reply_answers_several_expectations_and_a_send_forgets_it() {
    use Act::{Hear, Say};
    let acts = || {
        vec![
            Hear("INFO\r\n"),
            Say("# Replication\r\nrole:master\r\n"),
            Hear("QUIT\r\n"),
            Say("+OK\r\n"),
        ]
    };
    let steps = [
        send("INFO\r\n"),
        expect("role:master"),
        expect("# Rep"),
        send("QUIT\r\n"),
        expect("+OK"),
    ];
    assert_eq!(check(vec![acts()], &steps).await, Ok(()));
    let steps = [
        send("INFO\r\n"),
        expect("role:master"),
        send("QUIT\r\n"),
        expect("role:master"),
    ];
    assert_eq!(
        check(vec![acts()], &steps).await,
        Err(
            r#"step 4 wanted "role:master", got "+OK\r\n" and then the end of the connection"#
                .into()
        )
    );
}

#[tokio::test]
async fn what_fails_says_the_step_and_what_was_seen() {
    use Act::{Hang, Hear, Say};
    let wrong = vec![Hear("PING\r\n"), Say("-LOADING\r\n"), Hang];
    let steps = [send("PING\r\n"), expect("+PONG")];
    assert_eq!(
        check(vec![wrong], &steps).await,
        Err(r#"step 2 wanted "+PONG", got "-LOADING\r\n" and no more in time"#.into())
    );
    assert_eq!(
        check(vec![vec![Hang]], &steps).await,
        Err(r#"step 2 wanted "+PONG", got nothing and no more in time"#.into())
    );
}

/// As with HAProxy, absence is known only when no more can come.
#[tokio::test]
async fn what_must_not_be_there() {
    use Act::{Hang, Hear, Say};
    let steps = [send("?"), expect_not("slave")];
    assert_eq!(
        check(vec![vec![Hear("?"), Say("master")]], &steps).await,
        Ok(())
    );
    assert_eq!(
        check(vec![vec![Hear("?"), Say("slave"), Hang]], &steps).await,
        Err(r#"step 2 wanted no "slave", got "slave""#.into())
    );
    let silent = check(vec![vec![Hear("?"), Say("master"), Hang]], &steps).await;
    assert!(silent.unwrap_err().ends_with("and no more in time"));
}

#[tokio::test]
async fn a_script_may_connect_again() {
    use Act::{Hear, Say};
    let connections = vec![vec![Hear("a"), Say("1")], vec![Hear("b"), Say("2")]];
    let steps = [
        Step::Connect(None),
        send("a"),
        expect("1"),
        Step::Connect(None),
        send("b"),
        expect("2"),
    ];
    assert_eq!(check(connections, &steps).await, Ok(()));
}

#[tokio::test]
async fn a_reply_without_end_is_not_read_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    let failure = run(address, &[expect("+OK")], deadline).await.unwrap_err();
    assert!(
        failure.to_string().ends_with("and more than 16 kB"),
        "{failure}"
    );
}

#[test]
fn patterns() {
    let regex = |text| Wanted::Regex(Regex(regex::bytes::Regex::new(text).unwrap()));
    assert!(regex("role:(master|active-replica)").is_in(b"..role:active-replica\r\n"));
    assert!(!regex("^PONG").is_in(b"+PONG"));
    assert!(Wanted::Hex(vec![0, 0xff]).is_in(&[1, 0, 0xff]));
    assert!(!Wanted::Hex(vec![0, 0xff]).is_in(&[0xff, 0]));
}
