//! Looks after the files while the vault serves: loads what has changed, says so in both logs, and warns before
//! something ends.
//!
//! Contents are compared, not times or names: Kubernetes swaps a link far above the file.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::Notify;
use vault_domain::Reason;
use vault_engine::Engine;

use super::{Dated, Reload, Tls, dated::Timing};

/// How often the same warning is given.
const WARNING_INTERVAL: Duration = Duration::from_secs(3600);

/// Looks at the files until it is cut off: every few seconds, and whenever `asked`.
pub(crate) async fn watch(tls: Arc<Tls>, engine: Arc<Engine>, asked: Arc<Notify>) {
    let mut warned = HashMap::new();
    loop {
        warn(&tls, &mut warned);
        let is_asked = tokio::select! {
            () = asked.notified() => true,
            () = tokio::time::sleep(tls.config.reload_every) => false,
        };
        let looking = tls.clone();
        let Ok(reload) = tokio::task::spawn_blocking(move || looking.reload(is_asked)).await else {
            tracing::error!("the files of TLS could not be looked at");
            continue;
        };
        let reason = match reload {
            Reload::Nothing => {
                if is_asked {
                    tracing::info!("the files of TLS have not changed");
                }
                continue;
            }
            Reload::Done => {
                tracing::info!("the files of TLS have changed and are in use");
                warned.clear();
                None
            }
            Reload::Refused(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the files of TLS have changed and can't be used; those from before stay in use"
                );
                Some(Reason::ReloadRefused)
            }
        };
        if let Err(error) = engine.note_reload(reason).await {
            tracing::error!(reason = error.reason().name(), "a reload could not be written into the log");
        }
    }
}

/// Warns of what ends soon or has ended.
fn warn(tls: &Tls, warned: &mut HashMap<Dated, Duration>) {
    let (wall, now) = (tls.clock.wall(), tls.clock.monotonic());
    for dated in &tls.current().dated {
        let timing = dated.timing(wall, tls.config.expiry_warning);
        if timing == Timing::Good || warned.get(dated).is_some_and(|last| now.saturating_sub(*last) < WARNING_INTERVAL)
        {
            continue;
        }
        warned.insert(dated.clone(), now);
        let (subject, text) = (dated.kind.key(), format!("{} {}", dated.name(), dated.text(wall, timing)));
        match timing {
            Timing::Over | Timing::Early => tracing::error!(subject, "{text}"),
            Timing::EndsSoon | Timing::Good => tracing::warn!(subject, "{text}"),
        }
    }
}
