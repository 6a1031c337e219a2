//! `kuzflow init`: a publisher's folder from what is typed.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Ending;
use super::output::Say;
use crate::host;
use crate::model::Node;
use crate::model::platform::AppName;
use crate::publish::{InitOptions, Project, ProjectSettings};

type Failure = Box<dyn std::error::Error>;

/// The arguments of `kuzflow init`.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The folder to make.
    folder: PathBuf,
    /// The app's name in ids.
    #[arg(long, value_name = "NAME")]
    app: AppName,
    /// The app's name for people.
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// Where the repository will be served; may be given several times.
    #[arg(long = "node", value_name = "URL", required = true)]
    nodes: Vec<url::Url>,
    /// The channel of releases that name none.
    #[arg(long, value_name = "NAME", default_value = "stable")]
    channel: String,
    /// How many root keys to make.
    #[arg(long, value_name = "N", default_value_t = 1)]
    root_keys: usize,
    /// How many of them must sign a new root.
    #[arg(long, value_name = "N", default_value_t = 1)]
    root_threshold: u64,
    /// Ask for a password for the root and targets keys.
    #[arg(long)]
    encrypt: bool,
}

/// Makes a publisher's folder.
pub fn init(arguments: InitArguments, say: &Say) -> Result<Ending, Failure> {
    let password = if arguments.encrypt { Some(new_password()?) } else { None };
    let display_name = arguments.display_name.unwrap_or_else(|| arguments.app.to_string());
    let options = InitOptions {
        settings: ProjectSettings {
            channel: arguments.channel,
            nodes: distinct(arguments.nodes.into_iter().map(Node::at).collect()),
            ..ProjectSettings::new(arguments.app, display_name)
        },
        root_keys: arguments.root_keys,
        root_threshold: arguments.root_threshold,
        offline_password: password,
        online_password: None,
    };
    let project = Project::init(&arguments.folder, &options, host::now())?;
    say.line(&format!("{} is ready", arguments.folder.display()));
    say.line(&format!("  serve      {}", project.repository().display()));
    say.line(&format!("  ship       {} beside kuzflow-launcher", project.launcher_folder().display()));
    say.line(&format!("  keep safe  {}", project.keys_folder().display()));
    say.result(json!({ "status": "done", "folder": arguments.folder.to_string_lossy(), "repository": project.repository().to_string_lossy(), "launcher": project.launcher_folder().to_string_lossy() }));
    Ok(Ending::Done)
}

/// Gives a number to nodes on the same host.
fn distinct(mut nodes: Vec<Node>) -> Vec<Node> {
    for index in 1..nodes.len() {
        let same = nodes[..index].iter().filter(|before| before.url.host_str() == nodes[index].url.host_str()).count();
        if nodes[..index].iter().any(|before| before.id == nodes[index].id) {
            nodes[index].id = format!("{}-{}", nodes[index].id, same + 1);
            let id = nodes[index].id.clone();
            nodes[index].name = id;
        }
    }
    nodes
}

fn new_password() -> Result<String, Failure> {
    if let Some(password) = host::variable("KUZFLOW_KEY_PASSWORD") {
        return password.into_string().map_err(|_| "KUZFLOW_KEY_PASSWORD is not Unicode".into());
    }
    let password = rpassword::prompt_password("Password for the root and targets keys: ")?;
    if password.is_empty() || rpassword::prompt_password("Again: ")? != password {
        return Err("the two passwords differ, or are empty".into());
    }
    Ok(password)
}
