//! The `switchboard` binary: api and gateway in one process, on SQLite and an in-process bus.

use platform::{
    admin, files,
    settings::{EXIT_FAILURE, WrongSetting, fail, parse_with_sources, refuse},
    telemetry::start_logs,
};
use standalone::{
    commands, server,
    settings::{COMMAND_NEEDS, StandaloneCommand, StandaloneSettings},
};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let (mut settings, in_force) = match parse_with_sources::<StandaloneSettings>(COMMAND_NEEDS) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    match settings.command.clone().unwrap_or(StandaloneCommand::Serve) {
        StandaloneCommand::Serve => {}
        StandaloneCommand::Health => return admin::health(settings.admin_listen.0).await,
        StandaloneCommand::Log(command) => return command.run(settings.admin_listen.0).await,
        StandaloneCommand::Admin(command) => {
            return exit_code(commands::administer(&settings, &command).await);
        }
        StandaloneCommand::Backup { file } => {
            return exit_code(commands::backup(&settings, &file).await);
        }
        StandaloneCommand::Restored => return exit_code(commands::restore(&settings).await),
    }
    let checked = settings.check().and_then(|checked| {
        let (logs, last_lines) = start_logs(&settings.log)?;
        settings.client.max_connections = files::room_for(settings.client.max_connections)?;
        Ok((checked, logs, last_lines))
    });
    let (mut checked, logs, _last_lines) = match checked {
        Ok(checked) => checked,
        Err(why) => return refuse(why),
    };
    checked.api.settings.clone_from(&in_force);
    checked.gateway.settings = in_force;
    exit_code(server::run(settings, checked, logs).await)
}

fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<WrongSetting>() => refuse(error),
        Err(error) => fail(format_args!("{error:#}"), EXIT_FAILURE),
    }
}
