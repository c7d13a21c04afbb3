use clap::CommandFactory;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn commands_to_come_take_any_arguments_and_are_not_listed() {
    let parsed = Cli::try_parse_from(["lb", "server", "weight", "pg/pg1", "--force", "3"]);
    assert!(matches!(parsed.unwrap().command, Command::Server(_)));
    let help = Cli::command().render_help().to_string();
    assert!(help.contains("show") && !help.contains("doctor"), "{help}");
}
