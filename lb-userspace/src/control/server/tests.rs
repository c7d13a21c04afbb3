use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::config;
use crate::control::client;
use crate::control::protocol::Flows;

/// Holds as many flows as it is told; everything else is empty, and `info` is out of order.
#[derive(Default)]
struct Fake {
    flows: u64,
    visited: AtomicU64,
}

impl Inventory for Fake {
    fn services(&self) -> Result<Services, Unavailable> {
        Ok(Services::default())
    }

    fn servers(&self) -> Result<Servers, Unavailable> {
        Ok(Servers::default())
    }

    fn flows(
        &self,
        select: &Selection,
        visit: &mut dyn FnMut(Flow) -> ControlFlow<()>,
    ) -> Result<(), Unavailable> {
        if select.service.is_some() {
            return Err("there is no such service".into());
        }
        for number in 0..self.flows {
            self.visited.fetch_max(number, Ordering::Relaxed);
            if visit(flow(number)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn drops(&self) -> Result<Drops, Unavailable> {
        Ok(Drops::default())
    }

    fn bans(&self) -> Result<Bans, Unavailable> {
        Ok(Bans::default())
    }

    fn info(&self) -> Result<Info, Unavailable> {
        Err("the map cannot be read".into())
    }
}

fn flow(number: u64) -> Flow {
    let address = "192.0.2.1:5432".parse().unwrap();
    Flow {
        client: address,
        vip: address,
        nat_source: address,
        server: address,
        server_name: Some(format!("pg/pg{number}").into()),
        service: None,
        state: "open".into(),
        age_seconds: 1.5,
        idle_seconds: 0.5,
        payload: None,
    }
}

/// An agent that serves `Fake` until the test ends.
struct Agent {
    path: PathBuf,
    fake: Arc<Fake>,
    task: tokio::task::JoinHandle<()>,
}

impl Agent {
    fn start(name: &str, fake: Fake) -> Self {
        let path = std::env::temp_dir().join(format!("lb-control-{name}-{}", std::process::id()));
        let config = config::Control {
            socket: path.clone(),
            mode: 0o600,
            group: None,
        };
        let fake = Arc::new(fake);
        let task = tokio::spawn(serve(Socket::bind(&config).unwrap(), fake.clone()));
        Self { path, fake, task }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    /// Sends `request` as it is and returns all of the answer.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The agent may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        let _ = stream.shutdown().await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn show(&self, what: What, limit: Option<u64>) -> Result<Vec<u8>, client::Error> {
        let path = self.path.clone();
        let request = Request::Show(Show {
            what,
            limit,
            select: Selection::default(),
        });
        spawn_blocking(move || client::ask(&path, &request))
            .await
            .unwrap()
    }

    async fn flows(&self, limit: Option<u64>) -> Flows {
        serde_json::from_slice(&self.show(What::Flows, limit).await.unwrap()).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

#[tokio::test]
async fn a_line_asks_and_a_document_answers() {
    let agent = Agent::start("line", Fake::default());
    assert_eq!(
        agent.raw(b"{\"show\":{\"what\":\"services\"}}\n").await,
        "{\"services\":[]}\n"
    );
    let without_newline = agent.raw(b"{\"show\":{\"what\":\"drops\"}}").await;
    assert_eq!(
        without_newline,
        "{\"drops\":[],\"passes\":[],\"services\":[]}\n"
    );
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_the_reason() {
    let agent = Agent::start("refused", Fake::default());
    let refused = |answer: String| serde_json::from_str::<Refusal>(&answer).unwrap().error;
    assert!(refused(agent.raw(b"\xff\x00garbage\n").await).contains("not understood"));
    assert!(refused(agent.raw(b"").await).contains("not understood"));
    let unknown = agent
        .raw(b"{\"show\":{\"what\":\"flows\",\"limt\":1}}\n")
        .await;
    assert!(refused(unknown).contains("unknown field `limt`"));
    let misplaced = agent
        .raw(b"{\"show\":{\"what\":\"info\",\"select\":{\"service\":\"s\"}}}\n")
        .await;
    assert_eq!(refused(misplaced), "only flows can be selected");
    let nothing = agent
        .raw(b"{\"show\":{\"what\":\"flows\",\"select\":{\"service\":\"s\"}}}\n")
        .await;
    assert_eq!(refused(nothing), "there is no such service");
    let huge = refused(agent.raw(&[b'{'; 100_000]).await);
    assert_eq!(huge, "the request is longer than 4096 bytes");
    assert_eq!(
        agent.raw(b"{\"show\":{\"what\":\"servers\"}}\n").await,
        "{\"servers\":[]}\n"
    );
}

#[tokio::test]
async fn a_document_that_cannot_be_had_is_an_error_for_the_client() {
    let agent = Agent::start("unavailable", Fake::default());
    let error = agent.show(What::Info, None).await.unwrap_err();
    assert_eq!(error.to_string(), "the map cannot be read");
}

#[tokio::test]
async fn nobody_there_is_said_plainly() {
    let path = PathBuf::from("/nonexistent/control.sock");
    let error = client::ask(
        &path,
        &Request::Show(Show {
            what: What::Info,
            limit: None,
            select: Selection::default(),
        }),
    );
    let expected = "no agent answers on /nonexistent/control.sock: is `lb run` running?";
    assert_eq!(error.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn the_list_of_flows_is_cut_at_its_limit_and_says_so() {
    let agent = Agent::start(
        "limit",
        Fake {
            flows: 2500,
            ..Fake::default()
        },
    );
    let by_default = agent.flows(None).await;
    assert_eq!(
        (
            by_default.flows.len(),
            by_default.shown,
            by_default.truncated
        ),
        (1000, 1000, true)
    );
    assert_eq!(by_default.flows[999], flow(999));
    let exactly = agent.flows(Some(2500)).await;
    assert_eq!(
        (exactly.flows.len(), exactly.shown, exactly.truncated),
        (2500, 2500, false)
    );
    let none = agent.flows(Some(0)).await;
    assert_eq!((none.flows.len(), none.shown, none.truncated), (0, 0, true));
}

#[tokio::test]
async fn a_client_that_never_reads_stops_nobody() {
    let agent = Agent::start(
        "stuck",
        Fake {
            flows: u64::MAX,
            ..Fake::default()
        },
    );
    let mut stuck = agent.connect().await;
    let request = format!(
        "{{\"show\":{{\"what\":\"flows\",\"limit\":{}}}}}\n",
        u64::MAX
    );
    stuck.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(agent.flows(Some(1)).await.shown, 1, "others are served");

    // Its answer is not put together faster than it reads, and it is given up in the end: what it
    // finds then is what had been sent, and no whole document.
    tokio::time::sleep(PATIENCE + Duration::from_millis(500)).await;
    let visited = agent.fake.visited.load(Ordering::Relaxed);
    assert!(
        visited < 100_000,
        "{visited} flows for a client that reads none"
    );
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, stuck.take(1 << 26).read_to_end(&mut rest)).await;
    read.expect("the connection was closed").unwrap();
    assert!(rest.len() < 1 << 26, "the connection was closed");
    assert!(!rest.ends_with(b"}\n"), "half a list is no document");
}

#[tokio::test]
async fn one_client_too_many_is_turned_away() {
    let agent = Agent::start("many", Fake::default());
    let mut idle = Vec::new();
    for _ in 0..CLIENTS {
        idle.push(agent.connect().await);
    }
    let refused = agent.show(What::Drops, None).await.unwrap_err();
    assert_eq!(refused.to_string(), "16 clients are being served already");
    drop(idle);
    let served = timeout(PATIENCE, async {
        while agent.show(What::Drops, None).await.is_err() {}
    });
    served.await.expect("places are free again");
}
