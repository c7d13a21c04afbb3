use super::*;

const FLOW: &str = r#"{"client":"192.0.2.1:50000","vip":"192.0.2.10:5432","nat_source":"10.0.5.1:20000","server":"10.0.5.10:5432","server_name":"pg/pg1","service":"rw","state":"open","age_seconds":90.0,"idle_seconds":0.25,"a_later_version":"adds this"}"#;

/// What is printed of these lines, and why not all of it.
fn printed(json: bool, lines: &[String]) -> (String, Result<(), Incomplete>) {
    let mut text = Vec::new();
    let mut page = Page::new(&mut text, json);
    for line in lines {
        if page.line(format!("{line}\n").as_bytes()).is_break() {
            break;
        }
    }
    let result = page.finish();
    (String::from_utf8(text).unwrap(), result)
}

fn document(flows: &[&str], truncated: bool) -> Vec<String> {
    let mut lines = vec![FLOWS_BEGIN.to_owned()];
    for (number, flow) in flows.iter().enumerate() {
        let comma = if number + 1 < flows.len() { "," } else { "" };
        lines.push(format!("{flow}{comma}"));
    }
    let shown = flows.len() as u64;
    lines.push(FlowsEnd { shown, truncated }.line());
    lines
}

#[test]
fn a_row_says_who_talks_to_whom() {
    let (text, result) = printed(false, &document(&[FLOW], false));
    result.unwrap();
    let expected = "\
CLIENT           VIP              NAT SOURCE      SERVER          NAME    SERVICE  STATE    AGE  IDLE
192.0.2.1:50000  192.0.2.10:5432  10.0.5.1:20000  10.0.5.10:5432  pg/pg1  rw       open   1m30s  0.2s
";
    assert_eq!(text, expected);
}

#[test]
fn what_flows_have_carried_is_shown_where_it_is_known() {
    let payload =
        r#","packets_in":3,"payload_bytes_in":1500,"packets_out":4,"payload_bytes_out":7}"#;
    let flow = FLOW.replace('}', payload);
    let (text, result) = printed(false, &document(&[&flow], false));
    result.unwrap();
    let [heading, row] = text.lines().collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    assert!(heading.ends_with("BYTES IN  BYTES OUT"), "{heading}");
    assert!(row.ends_with("1.5 kB        7 B"), "{row}");
}

#[test]
fn rows_beyond_those_that_were_measured_are_printed_too() {
    let flows = vec![FLOW; MEASURED + 5];
    let (text, result) = printed(false, &document(&flows, true));
    result.unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), MEASURED + 7);
    assert_eq!(lines[1], lines[MEASURED + 5]);
    assert_eq!(
        lines[MEASURED + 6],
        format!("the first {}; --limit N lists more", MEASURED + 5)
    );
}

#[test]
fn json_is_handed_on_as_it_comes() {
    let lines = document(&[FLOW, FLOW], false);
    let (text, result) = printed(true, &lines);
    result.unwrap();
    assert_eq!(text, lines.join("\n") + "\n");
    let read: control::protocol::Flows = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (read.shown, read.truncated, read.flows.len()),
        (2, false, 2)
    );
}

#[test]
fn half_a_list_is_a_failure_and_an_empty_one_a_heading() {
    for json in [true, false] {
        let mut lines = document(&[FLOW, FLOW], false);
        lines.pop();
        let (_, result) = printed(json, &lines);
        assert!(
            matches!(result, Err(Incomplete::BrokenOff(_))),
            "{result:?}"
        );
    }
    let (text, result) = printed(false, &document(&[], false));
    result.unwrap();
    assert_eq!(text.lines().count(), 1);
    let (_, result) = printed(false, &[FLOWS_BEGIN.to_owned(), "{\"half\": ".to_owned()]);
    assert!(
        matches!(result, Err(Incomplete::NotUnderstood(_))),
        "{result:?}"
    );
}
