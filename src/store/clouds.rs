//! Stores with the settings of the environment: as `object_store` takes them, and as the clouds'
//! own tools do where these know more (a profile of `~/.aws`, the variables of `az`, the emulator
//! of Google's clients).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{Error, ObjectStore, RetryConfig, StaticCredentialProvider};

/// Largest file of `~/.aws` that is read, in bytes.
const PROFILES_BYTES: u64 = 1 << 20;

/// Where a machine of a cloud is asked for its own account, after all else.
pub(super) const MACHINE: &str = "169.254.169.254";

/// The variables that say who asks a store, by its URL.
pub(super) fn credentials(url: &str) -> &'static str {
    match url.get(..2) {
        Some("s3") => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        Some("gs") => "GOOGLE_APPLICATION_CREDENTIALS",
        _ => "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_KEY",
    }
}

/// A value of the environment; an empty variable is none.
type Variable<'v> = &'v dyn Fn(&str) -> Option<String>;

/// The store of a bucket (a container), by the scheme of its URL: `s3`, `gs`, else `az`.
pub(super) fn open(
    scheme: &str,
    bucket: &str,
    retry: RetryConfig,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    super::encrypt_by_ring();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    Ok(match scheme {
        "s3" => Arc::new(amazon(&variable)?.with_bucket_name(bucket).with_retry(retry).build()?),
        "gs" => Arc::new(google(&variable).with_bucket_name(bucket).with_retry(retry).build()?),
        _ => Arc::new(azure(&variable)?.with_container_name(bucket).with_retry(retry).build()?),
    })
}

/// Whether an endpoint was written with `http://`: who does so means it.
fn is_plain(endpoint: Option<String>) -> bool {
    endpoint.is_some_and(|url| url.starts_with("http://"))
}

fn amazon(variable: Variable<'_>) -> object_store::Result<AmazonS3Builder> {
    let mut builder = AmazonS3Builder::from_env();
    if let Some(profile) = profile(variable)? {
        for (name, key) in [
            ("aws_access_key_id", AmazonS3ConfigKey::AccessKeyId),
            ("aws_secret_access_key", AmazonS3ConfigKey::SecretAccessKey),
            ("aws_session_token", AmazonS3ConfigKey::Token),
            ("region", AmazonS3ConfigKey::Region),
            ("endpoint_url", AmazonS3ConfigKey::Endpoint),
        ] {
            if let (Some(value), None) = (profile.get(name), builder.get_config_value(&key)) {
                builder = builder.with_config(key, value);
            }
        }
    }
    let endpoints = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    let is_plain = endpoints.iter().any(|key| is_plain(builder.get_config_value(key)));
    Ok(if is_plain { builder.with_allow_http(true) } else { builder })
}

/// What `~/.aws` says of the profile, where nothing in the environment says who asks.
fn profile(variable: Variable<'_>) -> object_store::Result<Option<BTreeMap<String, String>>> {
    const OTHERS: [&str; 4] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    if OTHERS.iter().any(|name| variable(name).is_some()) {
        return Ok(None);
    }
    let asked = variable("AWS_PROFILE");
    let name = asked.as_deref().unwrap_or("default");
    let of_home =
        |file| PathBuf::from(variable("HOME").unwrap_or_default()).join(".aws").join(file);
    let place = |name, file| variable(name).map_or_else(|| of_home(file), PathBuf::from);
    let mut found = section(&text(&place("AWS_CONFIG_FILE", "config")), name, "profile ");
    found.extend(section(&text(&place("AWS_SHARED_CREDENTIALS_FILE", "credentials")), name, ""));
    if found.contains_key("aws_access_key_id") {
        return Ok(Some(found));
    }
    match asked {
        // An instance's role may serve whoever asked for nobody.
        None => Ok(Some(found)),
        Some(name) => Err(unusable(
            "S3",
            format!(
                "AWS_PROFILE={name} names no access key in ~/.aws: put its credentials into the \
                 environment by `eval \"$(aws configure export-credentials --profile {name} \
                 --format env)\"`"
            ),
        )),
    }
}

fn unusable(store: &'static str, why: String) -> Error {
    Error::Generic { store, source: why.into() }
}

/// A file of profiles; one that cannot be read says nothing.
fn text(path: &Path) -> String {
    let is_small = path.metadata().is_ok_and(|data| data.is_file() && data.len() <= PROFILES_BYTES);
    if is_small { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() }
}

/// The settings of a section: `[name]`, or `[profile name]` where the file writes it so.
fn section(text: &str, name: &str, prefix: &str) -> BTreeMap<String, String> {
    let mut is_ours = false;
    let mut found = BTreeMap::new();
    for line in text.lines() {
        // What is indented belongs to the setting above it.
        let is_setting = !line.starts_with([' ', '\t', '#', ';']);
        if let Some(head) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let head = head.trim();
            is_ours = head == name || head.strip_prefix(prefix).is_some_and(|of| of.trim() == name);
        } else if let (true, Some((key, value))) = (is_ours && is_setting, line.split_once('=')) {
            found.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

/// Google's clients take the emulator without any credentials.
fn google(variable: Variable<'_>) -> GoogleCloudStorageBuilder {
    let builder = GoogleCloudStorageBuilder::from_env();
    match variable("STORAGE_EMULATOR_HOST") {
        Some(host) if builder.get_config_value(&GoogleConfigKey::BaseUrl).is_none() => {
            let url = if host.contains("://") { host } else { format!("http://{host}") };
            // Writes ask for a token whatever is said of signatures.
            let nobody = StaticCredentialProvider::new(GcpCredential { bearer: String::new() });
            builder
                .with_base_url(url.trim_end_matches('/'))
                .with_credentials(Arc::new(nobody))
                .with_skip_signature(true)
        }
        _ => builder,
    }
}

fn azure(variable: Variable<'_>) -> object_store::Result<MicrosoftAzureBuilder> {
    let mut builder = MicrosoftAzureBuilder::from_env();
    let connection = variable("AZURE_STORAGE_CONNECTION_STRING").unwrap_or_default();
    let connection = connection_settings(&connection)?;
    for (key, of_connection, of_tool) in [
        (AzureConfigKey::AccountName, "accountname", "AZURE_STORAGE_ACCOUNT"),
        (AzureConfigKey::AccessKey, "accountkey", "AZURE_STORAGE_KEY"),
        (AzureConfigKey::SasKey, "sharedaccesssignature", ""),
        (AzureConfigKey::Endpoint, "blobendpoint", ""),
        (AzureConfigKey::UseEmulator, "usedevelopmentstorage", ""),
    ] {
        let value = connection.get(of_connection).cloned().or_else(|| variable(of_tool));
        let is_new = key == AzureConfigKey::UseEmulator || builder.get_config_value(&key).is_none();
        if let (Some(value), true) = (value, is_new) {
            builder = builder.with_config(key, value);
        }
    }
    let is_plain = is_plain(builder.get_config_value(&AzureConfigKey::Endpoint));
    Ok(if is_plain { builder.with_allow_http(true) } else { builder })
}

/// The parts of a connection string, `Name=value;Name=value`, by their names in lower case.
fn connection_settings(text: &str) -> object_store::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        // The part may be a key: it is not shown.
        let (name, value) = part.split_once('=').ok_or_else(|| {
            let why = "AZURE_STORAGE_CONNECTION_STRING is not NAME=VALUE;NAME=VALUE";
            unusable("MicrosoftAzure", why.to_owned())
        })?;
        found.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
    }
    if let (None, Some(account)) = (found.get("blobendpoint"), found.get("accountname")) {
        let scheme = found.get("defaultendpointsprotocol").map_or("https", String::as_str);
        let suffix = found.get("endpointsuffix").map_or("core.windows.net", String::as_str);
        let endpoint = format!("{scheme}://{account}.blob.{suffix}");
        found.insert("blobendpoint".to_owned(), endpoint);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'v>(pairs: &'v [(&'v str, String)]) -> impl Fn(&str) -> Option<String> + 'v {
        move |name| pairs.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn a_profile_gives_what_the_environment_does_not() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".aws");
        std::fs::create_dir(&folder).unwrap();
        let config = "[default]\nregion = eu-west-1\n\n[profile dev]\nregion=eu-north-1\n\
            endpoint_url = http://127.0.0.1:9\ns3 =\n  addressing_style = path\n\
            [profile sso]\nsso_session = x\n";
        std::fs::write(folder.join("config"), config).unwrap();
        let keys = "# keys\n[dev]\naws_access_key_id = AKIA\naws_secret_access_key = a=b=\n";
        std::fs::write(folder.join("credentials"), keys).unwrap();
        let here = ("HOME", home.path().to_string_lossy().into_owned());
        let dev = [here.clone(), ("AWS_PROFILE", "dev".to_owned())];
        let builder = amazon(&of(&dev)).unwrap();
        let said = |key| builder.get_config_value(&key);
        assert_eq!(said(AmazonS3ConfigKey::AccessKeyId).as_deref(), Some("AKIA"));
        assert_eq!(said(AmazonS3ConfigKey::SecretAccessKey).as_deref(), Some("a=b="));
        assert_eq!(said(AmazonS3ConfigKey::Endpoint).as_deref(), Some("http://127.0.0.1:9"));
        let default = profile(&of(std::slice::from_ref(&here))).unwrap().unwrap();
        assert_eq!(default.get("region").map(String::as_str), Some("eu-west-1"));
        assert_eq!(default.len(), 1);
        let key = ("AWS_ACCESS_KEY_ID", "other".to_owned());
        assert_eq!(profile(&of(&[dev[0].clone(), dev[1].clone(), key])).unwrap(), None);
        let sso = [here, ("AWS_PROFILE", "sso".to_owned())];
        let error = profile(&of(&sso)).unwrap_err().to_string();
        assert!(error.contains("aws configure export-credentials --profile sso"), "{error}");
    }

    #[test]
    fn who_asks_without_credentials_is_told_which_there_are() {
        let store = crate::store::remote::Remote::parse("s3://bucket/x").unwrap();
        let error = store.failed("read", format!("GET http://{MACHINE}/latest: 403")).to_string();
        assert!(error.contains("nothing says who asks; set AWS_ACCESS_KEY_ID"), "{error}");
        let error = store.failed("read", "404 Not Found").to_string();
        assert_eq!(error, "s3://bucket/x cannot be read");
    }

    #[test]
    fn an_emulator_of_google_is_asked_without_credentials() {
        for (host, url) in
            [("127.0.0.1:4443", "http://127.0.0.1:4443"), ("https://emulator/", "https://emulator")]
        {
            let builder = google(&of(&[("STORAGE_EMULATOR_HOST", host.to_owned())]));
            let said = |key| builder.get_config_value(&key);
            assert_eq!(said(GoogleConfigKey::BaseUrl).as_deref(), Some(url));
            assert_eq!(said(GoogleConfigKey::SkipSignature).as_deref(), Some("true"));
        }
    }

    #[test]
    fn azure_takes_the_variables_of_its_tool() {
        let text = "DefaultEndpointsProtocol=http;AccountName=shop;AccountKey=a2V5PT0=;\
            EndpointSuffix=core.chinacloudapi.cn";
        let given = [("AZURE_STORAGE_CONNECTION_STRING", text.to_owned())];
        let builder = azure(&of(&given)).unwrap();
        let said = |key| builder.get_config_value(&key);
        assert_eq!(said(AzureConfigKey::AccountName).as_deref(), Some("shop"));
        assert_eq!(said(AzureConfigKey::AccessKey).as_deref(), Some("a2V5PT0="));
        let endpoint = said(AzureConfigKey::Endpoint);
        assert_eq!(endpoint.as_deref(), Some("http://shop.blob.core.chinacloudapi.cn"));
        let given =
            [("AZURE_STORAGE_ACCOUNT", "a".to_owned()), ("AZURE_STORAGE_KEY", "b".to_owned())];
        let builder = azure(&of(&given)).unwrap();
        assert_eq!(builder.get_config_value(&AzureConfigKey::AccountName).as_deref(), Some("a"));
        assert_eq!(builder.get_config_value(&AzureConfigKey::AccessKey).as_deref(), Some("b"));
        let error = connection_settings("c2VjcmV0").unwrap_err().to_string();
        assert!(!error.contains("c2VjcmV0"), "{error}");
    }
}
