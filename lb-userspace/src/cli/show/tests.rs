use super::*;

#[test]
fn a_server_that_cannot_be_reached_says_why() {
    let document = br#"{"servers":[{"pool":"pg","name":"pg1","address":"10.0.5.10:5432",
        "state":"down","why":"connection refused after 0.3 ms (3 of 3)","since_seconds":72,
        "weight":100,"backup":true,"enabled":false,"open_flows":3,"flows":4,
        "flows_opened_total":12,"active_flows":4,"maxconn":500,"connect_failures_total":9,"packets_in":1,"bytes_in":1500,"packets_out":2,"bytes_out":3000,
        "via":{"interface":"eth1","mac":null,"source":"10.0.5.1"},"check":null,
        "a_later_version":"adds this"}]}"#;
    let text = render(What::Servers, document).unwrap();
    let row = text.lines().nth(1).unwrap();
    let words: Vec<_> = row
        .split("  ")
        .filter(|word| !word.is_empty())
        .map(str::trim)
        .collect();
    let why = "connection refused after 0.3 ms (3 of 3); next hop on eth1 does not answer";
    let expected = [
        "pg/pg1",
        "10.0.5.10:5432",
        "down backup disabled",
        "1m12s",
        "100",
        "3",
        "4/500",
        "12",
        "9",
        "1",
        "2",
        "1.5 kB",
        "3.0 kB",
        why,
    ];
    assert_eq!(words, expected);
}

#[test]
fn an_answer_of_another_version_is_no_table() {
    assert_eq!(render(What::Info, b"{\"half\": ").unwrap_err().status, 1);
}
