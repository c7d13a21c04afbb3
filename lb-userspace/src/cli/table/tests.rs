use super::*;

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let rows = [["pg/pg1", "7", "up"], ["redis/a", "12345", ""]];
    let rows: Vec<Vec<String>> = rows.map(|row| row.map(str::to_owned).to_vec()).to_vec();
    let columns = [
        ("SERVER", Align::Left),
        ("OPEN", Align::Right),
        ("STATE", Align::Left),
    ];
    let expected = "\
SERVER    OPEN  STATE
pg/pg1       7  up
redis/a  12345
";
    assert_eq!(table(&columns, &rows), expected);
}

#[test]
fn nothing_to_list_is_a_heading_alone() {
    assert_eq!(
        table(&[("A", Align::Left), ("B", Align::Right)], &[]),
        "A  B\n"
    );
}

#[test]
fn bytes_have_three_figures_or_so() {
    let cases = [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
    ];
    for (number, text) in cases {
        assert_eq!(bytes(number), text);
    }
    assert_eq!(bytes(999_950), "1.0 MB");
    assert_eq!(bytes(23_400_000_000), "23.4 GB");
    assert_eq!(bytes(u64::MAX), "18.4 EB");
}

#[test]
fn times_have_two_units() {
    let cases = [
        (7, "7s"),
        (192, "3m12s"),
        (3600, "1h0m"),
        (2 * 86_400 + 5 * 3600 + 59, "2d5h"),
    ];
    for (number, text) in cases {
        assert_eq!(seconds(number), text);
    }
}
