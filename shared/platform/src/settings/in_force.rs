//! What a process was set to, and where each value comes from: for the people who run it. Values of secrets are
//! left out.

use clap::{ArgMatches, Command, parser::ValueSource};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use url::Url;

/// What stands for the value of a secret.
const MASK: &str = "****";

/// A setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingInForce {
    /// The environment variable, by which the documentation names it.
    #[cfg_attr(feature = "openapi", schema(examples("LISTEN")))]
    pub name: String,
    /// As it was written; several values are separated by commas. Empty if there is none, `****` for a secret.
    #[cfg_attr(feature = "openapi", schema(examples("127.0.0.1:8000")))]
    pub value: String,
    /// Where the value comes from.
    pub source: SettingSource,
}

/// Where the value of a setting comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SettingSource {
    /// Nobody set it.
    Default,
    /// The variable.
    Environment,
    /// The flag.
    CommandLine,
    /// The file that `NAME_FILE` names.
    File,
}

/// Whether a value is a URL that says who asks, perhaps with a password.
fn names_user(value: &str) -> bool {
    Url::parse(value).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
}

/// The settings of a command that was parsed. `in_file`: whether a file holds the secret of this name.
pub(super) fn in_force(
    command: &Command,
    matches: &ArgMatches,
    in_file: impl Fn(&str) -> bool,
) -> Vec<SettingInForce> {
    let setting = |argument: &clap::Arg| {
        let name = argument.get_env()?.to_str()?.to_owned();
        let id = argument.get_id().as_str();
        let source = match matches.value_source(id) {
            _ if argument.is_hide_env_values_set() && in_file(&name) => SettingSource::File,
            Some(ValueSource::EnvVariable) => SettingSource::Environment,
            Some(ValueSource::CommandLine) => SettingSource::CommandLine,
            _ => SettingSource::Default,
        };
        let values: Vec<String> = matches
            .try_get_raw(id)
            .ok()
            .flatten()
            .map(|values| values.map(OsStr::to_string_lossy).map(Into::into).collect())
            .unwrap_or_default();
        let is_secret = argument.is_hide_env_values_set() || values.iter().any(|it| names_user(it));
        let value = match values.is_empty() {
            false if is_secret => MASK.to_owned(),
            _ => values.join(","),
        };
        Some(SettingInForce { name, value, source })
    };
    command.get_arguments().filter_map(setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Debug, Parser)]
    struct Settings {
        #[arg(long, env = "IN_FORCE_LISTEN", default_value = "127.0.0.1:1")]
        listen: String,
        #[arg(long, env = "IN_FORCE_PASSWORD", hide_env_values = true)]
        password: Option<String>,
        #[arg(long, env = "IN_FORCE_TOKEN", hide_env_values = true)]
        token: Option<String>,
        #[arg(long, env = "IN_FORCE_COLLECTOR")]
        collector: Option<String>,
        #[arg(long, env = "IN_FORCE_ORIGINS")]
        origins: Vec<String>,
        #[arg(long)]
        json: bool,
    }

    #[test]
    fn each_setting_is_told_with_its_source_and_no_secret() {
        let command = Settings::command();
        let given = [
            "x",
            "--password",
            "hush hush",
            "--collector",
            "http://me:hush@host/",
            "--origins",
            "one",
            "--origins",
            "two",
        ];
        let matches = command.clone().try_get_matches_from(given).unwrap();
        let told = in_force(&command, &matches, |name| name == "IN_FORCE_PASSWORD");
        let told: Vec<(&str, &str, SettingSource)> =
            told.iter().map(|one| (one.name.as_str(), one.value.as_str(), one.source)).collect();
        assert_eq!(
            told,
            [
                ("IN_FORCE_LISTEN", "127.0.0.1:1", SettingSource::Default),
                ("IN_FORCE_PASSWORD", "****", SettingSource::File),
                ("IN_FORCE_TOKEN", "", SettingSource::Default),
                ("IN_FORCE_COLLECTOR", "****", SettingSource::CommandLine),
                ("IN_FORCE_ORIGINS", "one,two", SettingSource::CommandLine),
            ]
        );
    }
}
