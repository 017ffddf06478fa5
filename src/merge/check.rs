//! Whether folders are the shards of one run, and what the whole is then.

use super::error::MergeError;
use crate::run::{RunFolder, RunInfo};

/// Missing shards that are named.
const SHOWN_SHARDS: usize = 8;

/// Shards of one run: the same captures, the same settings but for the shard, no shard twice.
pub(super) fn check(shards: &[(RunFolder, RunInfo)]) -> Result<Vec<String>, MergeError> {
    let Some((first, reference)) = shards.first() else { return Ok(Vec::new()) };
    let mut warnings = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for (folder, info) in shards {
        let prints = |info: &RunInfo| {
            info.inputs.iter().map(|input| (input.sha256.clone(), input.bytes)).collect::<Vec<_>>()
        };
        if prints(info) != prints(reference) {
            let (one, other) = (first.path().to_owned(), folder.path().to_owned());
            return Err(MergeError::Captures { one, other });
        }
        if info.never_ended() {
            warnings.push(format!(
                "the replay of {} was cut off: what it had not sent is missing, and the whole \
                 passes no gate",
                folder.path().display()
            ));
        }
        let rest = |info: &RunInfo| {
            let mut settings = info.settings.clone();
            if let Some(settings) = settings.as_object_mut() {
                settings.remove("shard");
            }
            settings
        };
        if rest(info) != rest(reference) {
            warnings.push(format!(
                "{} was replayed with other settings than {}",
                folder.path().display(),
                first.path().display()
            ));
        }
        let shard = info
            .settings
            .get("shard")
            .and_then(|shard| shard.as_str())
            .unwrap_or_default()
            .to_owned();
        let division = |shard: &str| shard.split_once('/').map(|(_, count)| count.to_owned());
        let first_seen = seen.first().map(|shard| division(shard));
        let what = match division(&shard) {
            _ if seen.is_empty() => None,
            None => Some("is no shard but a whole run".to_owned()),
            Some(_) if first_seen == Some(None) => {
                Some(format!("is a shard of what {} holds whole", first.path().display()))
            }
            Some(_) if seen.contains(&shard) => Some(format!("is shard {shard} once more")),
            Some(count) if first_seen.clone().flatten().as_ref() != Some(&count) => Some(format!(
                "is shard {shard} and {} is shard {}: they overlap",
                first.path().display(),
                seen[0]
            )),
            Some(_) => None,
        };
        if let Some(what) = what {
            return Err(MergeError::Twice { folder: folder.path().to_owned(), what });
        }
        seen.push(shard);
    }
    if let Some((_, count)) = seen.first().and_then(|shard| shard.split_once('/'))
        && let Ok(count) = count.parse::<usize>()
        && count != shards.len()
    {
        let is_given = |shard: &String| seen.contains(shard);
        let missing: Vec<String> = (1..=count)
            .map(|index| format!("{index}/{count}"))
            .filter(|shard| !is_given(shard))
            .take(SHOWN_SHARDS)
            .collect();
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let missing = format!("{} {verb} missing", missing.join(", "));
        return Err(MergeError::Shards { given: shards.len(), count, missing });
    }
    Ok(warnings)
}

/// `run.json` of the whole.
pub(super) fn info(shards: &[(RunFolder, RunInfo)]) -> RunInfo {
    let mut whole = shards.first().map(|(_, info)| info.clone()).unwrap_or_default();
    if let Some(settings) = whole.settings.as_object_mut() {
        let of: Vec<serde_json::Value> = shards
            .iter()
            .map(|(_, info)| info.settings.get("shard").cloned().unwrap_or_default())
            .collect();
        settings.remove("shard");
        settings.insert("shards".to_owned(), of.into());
    }
    for (_, info) in shards {
        whole.started = whole.started.min(info.started);
        whole.ended = whole.ended.max(info.ended);
        whole.interrupted |= info.interrupted || info.never_ended();
    }
    whole.host = shards.iter().map(|(_, info)| info.host.clone()).collect();
    if let [host] = whole.host.as_array().map(Vec::as_slice).unwrap_or_default() {
        whole.host = host.clone();
    }
    whole
}
