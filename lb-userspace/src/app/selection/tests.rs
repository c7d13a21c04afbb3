use super::*;
use crate::config;
use crate::dataplane::ids::Id;

const CONFIG: &str = r#"
dataplane: { interfaces: [eth0] }
pools:
  - name: pg
    servers:
      - { name: pg1, address: "10.0.5.10:5432" }
      - { name: pg2, address: "10.0.5.11:5432" }
services:
  - { name: rw, listen: "192.0.2.10:5432", pool: pg }
"#;

fn select(change: impl FnOnce(&mut Selection)) -> Result<FlowFilter, Error> {
    let source = config::Source::new("lb.yaml", CONFIG);
    let config = config::parse(vec![source], &|_| None).unwrap().config;
    let mut selection = Selection::default();
    change(&mut selection);
    filter(&config, &selection, &HashMap::new())
}

#[test]
fn everything_is_no_filter() {
    assert_eq!(select(|_| {}), Ok(FlowFilter::default()));
}

#[test]
fn what_has_no_flows_yet_is_nothing() {
    let nothing = Some(HashSet::new());
    let service = select(|all| all.service = Some("rw".to_owned()));
    assert_eq!(service.unwrap().members, nothing);
    let server = select(|all| all.server = Some("pg/pg2".to_owned()));
    assert_eq!(server.unwrap().members, nothing);
}

#[test]
fn words_and_numbers_are_read() {
    let filter = select(|all| {
        all.client = Some("10.0.0.0/8".to_owned());
        all.state = Some("client-fin".to_owned());
        all.older_than_ms = Some(1_500);
    });
    let expected = FlowFilter {
        client: Some("10.0.0.0/8".parse().unwrap()),
        state: Some(State::ClientFin),
        older_than: Some(Duration::from_millis(1_500)),
        ..FlowFilter::default()
    };
    assert_eq!(filter, Ok(expected));
}

#[test]
fn what_there_is_not_is_refused_by_name() {
    let said = |change: fn(&mut Selection)| select(change).unwrap_err().to_string();
    assert_eq!(
        said(|all| all.service = Some("rx".to_owned())),
        "there is no service `rx`"
    );
    assert_eq!(
        said(|all| all.server = Some("pg1".to_owned())),
        "there is no server `pg1`: servers are named POOL/SERVER"
    );
    let state = said(|all| all.state = Some("opne".to_owned()));
    assert!(
        state.starts_with("there is no state `opne`: flows are half-open, "),
        "{state}"
    );
    // Nobody's, being written, and the other direction's entry are no states of a flow.
    for word in ["free", "claimed", "reply"] {
        assert!(select(|all| all.state = Some(word.to_owned())).is_err());
    }
    let client = said(|all| all.client = Some("10.0.0.1/8".to_owned()));
    assert!(client.contains("10.0.0.0/8 is the network"), "{client}");
}

#[test]
fn members_are_found_by_service_and_server() {
    let source = config::Source::new("lb.yaml", CONFIG);
    let config = config::parse(vec![source], &|_| None).unwrap().config;
    let key = |service: &str, server: &str| MemberKey {
        service: crate::model::ServiceHalf {
            service: crate::model::ServiceName::new(service),
            family: crate::model::Family::V4,
        },
        server: crate::model::ServerKey {
            pool: crate::model::PoolName::new("pg"),
            server: crate::model::ServerName::new(server),
        },
        real: crate::model::RealKey {
            address: "10.0.5.10:5432".parse().unwrap(),
            mode: lb_common::service::Mode::Nat,
        },
    };
    let id = |number| MemberId::new(number).unwrap();
    let members = HashMap::from([
        (id(1), key("rw", "pg1")),
        (id(2), key("rw", "pg2")),
        // The configuration no longer has it.
        (id(3), key("old", "pg1")),
    ]);
    let found = |service: Option<&str>, server: Option<&str>| {
        let selection = Selection {
            service: service.map(str::to_owned),
            server: server.map(str::to_owned),
            ..Selection::default()
        };
        let filter = filter(&config, &selection, &members).unwrap();
        let mut ids: Vec<_> = filter.members.unwrap().into_iter().collect();
        ids.sort();
        ids
    };
    assert_eq!(found(Some("rw"), None), [id(1), id(2)]);
    assert_eq!(found(None, Some("pg/pg1")), [id(1), id(3)]);
    assert_eq!(found(Some("rw"), Some("pg/pg1")), [id(1)]);
    assert_eq!(found(Some("old"), None), [id(3)]);
}
