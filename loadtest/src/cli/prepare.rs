//! `loadtest prepare`: accounts and chats for many runs.

use super::{
    Exit,
    exit::Failure,
    interrupt::Interrupt,
    options::{ScenarioArgs, TargetArgs},
    run::name_of_run,
    say,
};
use crate::{
    live::LiveView,
    prepare::{self, Preparation},
};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct PrepareArgs {
    #[command(flatten)]
    scenario: ScenarioArgs,
    #[command(flatten)]
    target: TargetArgs,
    /// The file for the accounts and their tokens, which only you can read. Pass it to each run
    #[arg(long, value_name = "FILE")]
    accounts: PathBuf,
    /// Removes the accounts and chats in the file from the deployment, and the file
    #[arg(long)]
    remove: bool,
}

pub(super) async fn prepare(args: &PrepareArgs) -> Exit {
    match prepare_and_describe(args).await {
        Ok(said) => {
            say(said);
            Exit::Ok
        }
        Err(failure) => failure.tell(),
    }
}

async fn prepare_and_describe(args: &PrepareArgs) -> Result<String, Failure> {
    let scenario = args.scenario.read()?;
    let target = args.target.read().await?;
    let mut interrupt = Interrupt::new().map_err(Failure::failed)?;
    let live = LiveView::new(&scenario);
    let tell = |progress| live.preparing(progress);
    let file = args.accounts.display();
    let work = async {
        if args.remove {
            prepare::remove_saved(&target, &args.accounts, &tell).await?;
            return Ok(format!("{file}: removed, together with its accounts"));
        }
        let run = name_of_run();
        let accounts = Some(args.accounts.as_path());
        let plan = Preparation { scenario: &scenario, target: &target, run: &run, accounts };
        let cast = prepare::prepare(plan, &tell).await?.cast;
        Ok(format!("{file}: {} accounts, {} chats", cast.people.len(), cast.chats.len()))
    };
    let said = tokio::select! {
        said = work => said,
        () = interrupt.next() => Err(Failure {
            exit: Exit::Interrupted,
            error: anyhow::anyhow!("interrupted; the accounts and chats created so far remain"),
        }),
    };
    live.finish();
    said
}
