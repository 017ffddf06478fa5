//! Secrets that are planted in every place that a recording has, by a table: none may be left in a
//! recording, nor in what people read of it. Those that stay are named in `reports/README.md`.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;

use super::rules::RedactRule;
use super::vendors::VENDORS;
use super::{Masker, Redactor};
use crate::exchange::{
    Carriage, Completeness, Exchange, ExchangeId, SocketKind, SocketMessage, TimedRequest,
    TimedResponse, TlsSession,
};
use crate::flow::Direction;
use crate::message::{Body, Headers, Request, Response};
use crate::record::exchanges as log;
use crate::time::Timestamp;

/// Nothing that has a look of its own.
const SECRET: &str = "Zq7hT2mXw9Lk4RvB1nYs";

/// Where a secret is planted; `§` stands for it, `¤` for its base64.
#[derive(Clone, Copy, Debug)]
enum PlantedPlace {
    Target(&'static str),
    Ask(&'static str, &'static str),
    Answer(&'static str, &'static str),
    Reason(&'static str),
    /// A body of the request, of this type.
    Sent(&'static str, &'static str),
    /// A body of the response, of this type.
    Got(&'static str, &'static str),
    /// A trailer field of the response.
    Trailer(&'static str, &'static str),
}
use PlantedPlace::{Answer, Ask, Got, Reason, Sent, Target, Trailer};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const HTML: &str = "text/html";
const XML: &str = "application/xml";
const TEXT: &str = "text/plain";

const PLACES: &[PlantedPlace] = &[
    // Fields of requests.
    Ask("Authorization", "Bearer §"),
    Ask("Authorization", "bearer  §"),
    Ask("Authorization", "§"),
    Ask("Authorization", "Token §"),
    Ask("Authorization", "SSWS §"),
    Ask("Authorization", "Basic ¤"),
    Ask("Authorization", "Digest username=\"joe\", nonce=\"a\", response=\"§\""),
    Ask("Authorization", "AWS4-HMAC-SHA256 Credential=A/20261128/eu/s3/aws4_request, Signature=§"),
    Ask("Authorization", "Hawk id=\"a\", mac=\"§\""),
    Ask("Authorization", "OAuth oauth_token=\"§\", oauth_version=\"1.0\""),
    Ask("Proxy-Authorization", "Bearer §"),
    Ask("Host", "joe:§@shop.example:8080"),
    Ask(":authority", "joe:§@shop.example"),
    Ask("X-Forwarded-Host", "joe:§@shop.example"),
    Ask("Cookie", "theme=dark; sid=§"),
    Ask("Cookie", "§"),
    Ask("Cookie2", "a=§"),
    Ask("X-Api-Key", "§"),
    Ask("X-Auth-Token", "§"),
    Ask("X-CSRF-Token", "§"),
    Ask("X-XSRF-TOKEN", "§"),
    Ask("X-Amz-Security-Token", "§"),
    Ask("X-Vault-Token", "§"),
    Ask("X-Shopify-Access-Token", "§"),
    Ask("X-Goog-Api-Key", "§"),
    Ask("X-Functions-Key", "§"),
    Ask("X-Deploy-Key", "§"),
    Ask("X-RapidAPI-Key", "§"),
    Ask("Fastly-Key", "§"),
    Ask("X-Honeycomb-Team", "§"),
    Ask("X-Amzn-Oidc-Data", "§"),
    Ask("X-2FA-Code", "§"),
    Ask("Ocp-Apim-Subscription-Key", "§"),
    Ask("X-Hub-Signature-256", "§"),
    Ask("PRIVATE-TOKEN", "§"),
    Ask("X-Session-Id", "§"),
    Ask("Api-Key", "§"),
    Ask("X-Authentication", "§"),
    Ask("Sec-WebSocket-Protocol", "bearer, §"),
    Ask("Sec-WebSocket-Protocol", "graphql-ws, access_token, §"),
    Ask("Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.§, base64.binary.k8s.io"),
    Ask("Sec-WebSocket-Protocol", "openai-insecure-api-key.§, realtime"),
    Ask("Sec-WebSocket-Protocol", "v1, authorization.bearer.§"),
    Ask("Sec-WebSocket-Protocol", "§"),
    Ask("Referer", "https://x.example/?access_token=§"),
    Ask("Referer", "https://x.example/reset-password/§"),
    Ask("Referer", "https://joe:§@x.example/"),
    Ask("X-Original-Url", "/cb?code=§"),
    Ask("X-Forwarded-Uri", "/invite/§"),
    Ask("X-Debug", "Authorization: Bearer §"),
    Ask("X-Context", "{\"credentials\":{\"user\":\"joe\",\"value\":\"§\"}}"),
    // Targets.
    Target("/login?password=§"),
    Target("/x?api_key=§"),
    Target("/x?apikey=§&a=1"),
    Target("/x?key=§"),
    Target("/join?invite=§"),
    Target("/oauth?oauth_token=a&oauth_verifier=§"),
    Target("/cb?code=§&state=1"),
    Target("/cb?ticket=§"),
    Target("/x?X-Amz-Signature=§"),
    Target("/x?X-Amz-Credential=§"),
    Target("/x?sv=2024&sig=§"),
    Target("/x?Signature=§"),
    Target("/__/auth/action?mode=resetPassword&oobCode=§"),
    Target("/x?user%5Bpassword%5D=§"),
    Target("/x?next=%2Fcb%3Faccess_token%3D§"),
    Target("/x?variables=%7B%22credentials%22%3A%7B%22p%22%3A%22§%22%7D%7D"),
    Target("/x?f=%257B%2522password%2522%253A%2522§%2522%257D"),
    Target("/x?next=%252Fcb%253Faccess_token%253D§"),
    Target("/x;jsessionid=§"),
    Target("/x#access_token=§"),
    Target("/x#/cb?id_token=§"),
    Target("http://joe:§@x.example/"),
    Target("/reset-password/§"),
    Target("/password/reset/§"),
    Target("/verify-email/§"),
    Target("/users/confirmation/§"),
    Target("/invitations/§/accept"),
    Target("/magic-link/§"),
    Target("/unsubscribe/§"),
    Target("/auth/reset/MQ/§/"),
    Target("/services/T02AB34CD/B0452EFGH/§"),
    Target("/api/webhooks/1122334455667788990/§"),
    Target("/hooks/catch/123456/§/"),
    Target("/webhookb2/a@b/IncomingWebhook/§/c"),
    Target("/trigger/door/with/key/§"),
    Target("/api/tokens/§"),
    Target("/sessions/§"),
    // Fields of answers.
    Answer("grpc-message", "bad%20access_token%3D§"),
    Answer("Set-Cookie", "sid=§; Path=/; HttpOnly"),
    Answer("Set-Cookie", "__Host-a=§"),
    Answer("Location", "/cb?code=§"),
    Answer("Location", "https://x.example/cb#access_token=§&token_type=bearer"),
    Answer("Location", "/reset-password/§"),
    Answer("Location", "https://joe:§@x.example/"),
    Answer("Link", "<https://x.example/?page=2&api_key=§>; rel=next"),
    Answer("Refresh", "5; url=/x?token=§"),
    Answer("Content-Location", "/x?token=§"),
    Answer("X-Auth-Token", "§"),
    Answer("Authorization", "Bearer §"),
    Answer("X-Refresh-Token", "§"),
    Answer("Authentication-Info", "nextnonce=\"a\", token=\"§\""),
    Answer("Sec-WebSocket-Protocol", "§"),
    Trailer("X-Auth-Token", "§"),
    Trailer("Grpc-Message", "denied: token=§"),
    Reason("token=§"),
    Reason("Bad password: §"),
    Reason("See /reset-password/§"),
    // JSON.
    Sent(JSON, "{\"password\":\"§\"}"),
    Sent(JSON, "{\"user\":{\"newPassword\":\"§\",\"n\":1}}"),
    Sent(JSON, "{\"passwords\":[\"a\",\"§\"]}"),
    Sent(JSON, "{\"\\u0070assword\":\"§\"}"),
    Sent(JSON, "{\"client_secret\":\"§\"}"),
    Sent(JSON, "{\"contraseña\":\"§\",\"mot_de_passe\":\"§\",\"senha\":\"§\"}"),
    Sent(JSON, "{\"пароль\":\"§\",\"密码\":\"§\"}"),
    Sent(JSON, "{\"connectionString\":\"§\",\"securityAnswer\":\"§\"}"),
    Sent(FORM, "q=a%253D1%2526password%253D§"),
    Sent(JSON, "{\"query\":\"mutation{login(password:\\\"\\\"\\\"§\\\"\\\"\\\"){ok}}\"}"),
    Sent(TEXT, "password = \"\"\"§\"\"\"\n"),
    Sent(
        "multipart/form-data; boundary=bb",
        "--bb\r\nContent-Disposition: form-data; name*=UTF-8''pass%77ord\r\n\r\n§\r\n--bb--\r\n",
    ),
    Sent(JSON, "{\"grant_type\":\"x\",\"assertion\":\"§\"}"),
    Sent(JSON, "{\"code_verifier\":\"§\"}"),
    Sent(JSON, "{\"access_token\":\"§\"}"),
    Sent(JSON, "{\"otp\":\"§\"}"),
    Sent(JSON, "{\"cvc\":\"§\"}"),
    Sent(JSON, "{\"privateKey\":\"§\"}"),
    Sent(JSON, "{\"mnemonic\":\"§\"}"),
    Sent(JSON, "{\"resetCode\":\"§\"}"),
    Sent(JSON, "{\"SAMLResponse\":\"§\"}"),
    Sent(JSON, "{\"name\":\"password\",\"value\":\"§\"}"),
    Sent(JSON, "{\"value\":\"§\",\"name\":\"password\"}"),
    Sent(JSON, "[{\"key\":\"api_key\",\"value\":\"§\"}]"),
    Sent(JSON, "{\"key\":\"password\",\"value\":{\"stringValue\":\"§\"}}"),
    Sent(JSON, "{\"field\":\"token\",\"content\":\"§\"}"),
    Sent(JSON, "{\"headers\":[{\"name\":\"Authorization\",\"value\":\"Bearer §\"}]}"),
    Sent(JSON, "{\"headers\":[[\"Cookie\",\"a=b; sid=§\"]]}"),
    Sent(JSON, "{\"rawHeaders\":[\"Host\",\"x\",\"Authorization\",\"Bearer §\"]}"),
    Sent(
        JSON,
        "{\"query\":\"mutation L($p: String!) { login(name: \\\"j\\\", password: $p) { id } \
         }\",\"variables\":{\"p\":\"§\"}}",
    ),
    Sent(
        JSON,
        "{\"variables\":{\"input\":{\"x\":\"§\"}},\"query\":\"mutation ($input: I!) { \
         a(credentials: $input) }\"}",
    ),
    Sent(JSON, "{\"query\":\"mutation { login(password: \\\"§\\\") { id } }\"}"),
    Sent(JSON, "{\"url\":\"https://x.example/cb?access_token=§\"}"),
    Sent(JSON, "{\"link\":\"https://x.example/reset-password/§\"}"),
    Sent(JSON, "{\"dsn\":\"postgres://joe:§@db/x\"}"),
    Sent(JSON, "{\"log\":\"Authorization: Bearer §\\nHost: x\"}"),
    Sent(JSON, "{\"embedded\":\"{\\\"credentials\\\":{\\\"a\\\":\\\"§\\\"}}\"}"),
    Sent(JSON, "{\"a\":1}\n{\"token\":\"§\"}\n"),
    Sent(JSON, "{\"token\":\"§"),
    Sent(JSON, "\u{feff}{\"token\":\"§\"}"),
    Sent(JSON, "{\"connectionString\":\"Server=x;Password=§;\"}"),
    Sent(JSON, "{\"cookie\":\"a=b; sid=§\"}"),
    Sent(JSON, "{\"session\":{\"id\":\"§\"}}"),
    Sent("application/vnd.api+json", "{\"token\":\"§\"}"),
    Sent("application/x-ndjson", "{\"a\":1}\n{\"token\":\"§\"}\n"),
    Sent("", "{\"token\":\"§\"}"),
    Sent(TEXT, "{\"token\":\"§\"}"),
    // Forms.
    Sent(FORM, "a=1&password=§"),
    Sent(FORM, "grant_type=authorization_code&code=§"),
    Sent(FORM, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=§"),
    Sent(FORM, "grant_type=x&subject_token=§"),
    Sent(FORM, "SAMLResponse=§"),
    Sent(FORM, "%70assword=§"),
    Sent(FORM, "payload=%7B%22token%22%3A%22§%22%7D"),
    Sent(FORM, "next=%2Freset-password%2F§"),
    Sent("", "user=joe&password=§"),
    Sent(
        "multipart/form-data; boundary=bb",
        "--bb\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n§\r\n--bb--\r\n",
    ),
    Sent(
        "multipart/form-data; boundary=bb",
        "--bb\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: \
         application/json\r\n\r\n{\"token\":\"§\"}\r\n--bb--\r\n",
    ),
    Sent(
        "multipart/mixed; boundary=bb",
        "--bb\r\nContent-Type: text/plain\r\n\r\npassword=§\r\n--bb--\r\n",
    ),
    // Markup.
    Got(HTML, "<input type=password name=x value=\"§\">"),
    Got(HTML, "<input type='PASSWORD' value='§'>"),
    Got(HTML, "<input autocomplete=\"current-password\" value=§>"),
    Got(HTML, "<input type=hidden name=csrf_token value=§>"),
    Got(HTML, "<input value=§ id=authenticity_token>"),
    Got(HTML, "<meta name=\"csrf-token\" content=\"§\">"),
    Got(HTML, "<textarea name=\"secret\">§</textarea>"),
    Got(HTML, "<a href=\"/x?a=1&amp;token=§\">t</a>"),
    Got(HTML, "<a href=\"https://x.example/reset-password/§\">t</a>"),
    Got(HTML, "<script>var config = {csrfToken: '§'};</script>"),
    Got(HTML, "<script type=\"application/json\">{\"apiKey\":\"§\"}</script>"),
    Got(HTML, "<!-- password=§ -->"),
    Got(HTML, "<p data-api-key=\"§\">x</p>"),
    Got(XML, "<u><password>§</password></u>"),
    Got(XML, "<u><ns:password>§</ns:password></u>"),
    Got(XML, "<u><credentials><a>§</a></credentials></u>"),
    Got(XML, "<u><password><![CDATA[§]]></password></u>"),
    Got(XML, "<u token=\"§\"/>"),
    Got(XML, "<param name=\"password\" value=\"§\"/>"),
    Got(XML, "<property name=\"password\">§</property>"),
    Got(XML, "<entry key='api_key'>§</entry>"),
    Got(XML, "<plist><dict><key>password</key><string>§</string></dict></plist>"),
    Got(XML, "<member><name>password</name><value><string>§</string></value></member>"),
    Got(
        "application/soap+xml",
        "<s:Envelope><s:Header><wsse:Password Type='t'>§</wsse:Password></s:Header></s:Envelope>",
    ),
    // Texts.
    Got(TEXT, "Authorization: Bearer §\n"),
    Got(TEXT, "Cookie: theme=1; sid=§\r\nX-Api-Key: a\r\n"),
    Got(TEXT, "X-Api-Key: §\r\n"),
    Got(TEXT, "user=joe password=§ host=db"),
    Got(TEXT, "password: §\n"),
    Got(TEXT, "token := \"§\""),
    Got(TEXT, "see https://x.example/?code=§&state=1"),
    Got(TEXT, "see https://x.example/invite/§ soon"),
    Got(TEXT, "export API_KEY=§"),
    Got(TEXT, "it was Bearer § that came"),
    Got(TEXT, "redis://:§@cache:6379"),
    Got(TEXT, "-----BEGIN PRIVATE KEY-----\n§\n-----END PRIVATE KEY-----"),
    Got(TEXT, "Sec-WebSocket-Protocol: bearer, §\r\n"),
    Got("text/yaml", "db:\n  password: §\n"),
    Got("text/csv", "name,password\njoe,§\n"),
    Got("text/event-stream", "event: a\ndata: {\"token\":\"§\"}\n\n"),
    Got("application/javascript", "window.apiKey = \"§\";"),
    Got("application/jwt", "eyJhbGciOiJub25lIn0.eyJzdWIi§.§"),
];

/// More of the same kinds: other vendors' fields, other ways to write a pair, other formats.
const FURTHER: &[PlantedPlace] = &[
    Ask("X-Access-Token", "§"),
    Ask("DD-API-KEY", "§"),
    Ask("X-Api-Secret", "§"),
    Ask("X-Auth-Key", "§"),
    Ask("X-Parse-Session-Token", "§"),
    Ask("X-Rundeck-Auth-Token", "§"),
    Ask("X-Figma-Token", "§"),
    Ask("X-Algolia-API-Key", "§"),
    Ask("X-Redmine-API-Key", "§"),
    Ask("CF-Access-Client-Secret", "§"),
    Ask("X-MS-Token-AAD-Access-Token", "§"),
    Ask("X-Amzn-Oidc-Accesstoken", "§"),
    Ask("X-Goog-Iap-Jwt-Assertion", "§"),
    Ask("X-Forwarded-Access-Token", "§"),
    Ask("X-Forwarded-Authorization", "Bearer §"),
    Ask("X-Twilio-Signature", "§"),
    Ask("Stripe-Signature", "t=1492774577,v1=§"),
    Ask("X-Slack-Signature", "v0=§"),
    Ask("DPoP", "§"),
    Ask("Grpc-Metadata-Authorization", "Bearer §"),
    Ask("Authorization", "GoogleLogin auth=§"),
    Ask("Authorization", "MAC id=\"h4\", ts=\"1\", mac=\"§\""),
    Ask("Authorization", "ApiKey joe:§"),
    Ask("Authorization", "Snowflake Token=\"§\""),
    Ask("Authorization", "key=§"),
    Ask("Authorization", "SharedKey account:§"),
    Ask("Authorization", "SharedAccessSignature sr=x&sig=§&se=1"),
    Ask("X-Plex-Token", "§"),
    Ask("X-Cookie", "a=1; sid=§"),
    Ask("Forwarded-Cookie", "sid=§"),
    // Of HTTP/2: where its target stands once more, and metadata of gRPC.
    Ask(":path", "/x?access_token=§"),
    Ask(":path", "/reset-password/§"),
    Ask("x-session-token-bin", "¤"),
    // Targets.
    Target("/graphql?query=mutation%7Blogin(password%3A%22§%22)%7Bid%7D%7D"),
    Target("/x?auth%5Btoken%5D=§"),
    Target("/x?a=1;token=§"),
    Target("/x?TOKEN=§"),
    Target("/x?pass%77ord=§"),
    Target("/x?redirect_uri=https%3A%2F%2Fa.example%2Freset-password%2F§"),
    Target("/accept-invite/§?a=1"),
    Target("/activate/§"),
    Target("/share/token/§"),
    // Cookies and their attributes.
    Answer("Set-Cookie", "theme=dark; Path=/reset-password/§"),
    Answer("Set-Cookie", "\"sid\"=\"§\"; Secure"),
    Answer("Set-Cookie", "return_to=%2Fcb%3Fcode%3D§"),
    Answer("Location", "//x.example/magic-link/§"),
    Answer("Link", "</verify-email/§>; rel=\"canonical\""),
    Answer("X-Redirect-By", "/cb?id_token=§"),
    Answer("WWW-Authenticate", "Bearer error=\"invalid_token\", token=\"§\""),
    Reason("Bearer § expired"),
    Reason("https://joe:§@x.example/ refused"),
    // JSON.
    Sent(JSON, "{\"Authorization\":[\"Bearer §\"]}"),
    Sent(JSON, "{\"args\":[\"--token\",\"§\"]}"),
    Sent(JSON, "{\"args\":[\"--password=§\"]}"),
    Sent(JSON, "{\"cmd\":\"curl -u joe:§ https://x.example\"}"),
    Sent(JSON, "{\"id\":\"password\",\"val\":\"§\"}"),
    Sent(JSON, "{\"type\":\"password\",\"value\":\"§\"}"),
    Sent(JSON, "{\"attributes\":[{\"Name\":\"custom:token\",\"Value\":\"§\"}]}"),
    Sent(JSON, "{\"env\":[{\"name\":\"DB_PASSWORD\",\"value\":\"§\"}]}"),
    Sent(JSON, "{\"env\":[\"API_TOKEN=§\"]}"),
    Sent(JSON, "{\"k\":\"api-key\",\"v\":\"§\"}"),
    Sent(JSON, "{\"hasura\":{\"x-hasura-admin-secret\":\"§\"}}"),
    Sent(
        JSON,
        "{\"variables\":{\"pw\":\"§\"},\"query\":\"query ($pw: String) { a(input: {password: $pw}) \
         }\"}",
    ),
    Sent(JSON, "{\"auth\":{\"basic\":[{\"key\":\"password\",\"value\":\"§\"}]}}"),
    Sent(JSON, "{\"jsonrpc\":\"2.0\",\"method\":\"login\",\"params\":{\"passwd\":\"§\"}}"),
    Sent(JSON, "{\"pin_code\":\"§\"}"),
    Sent(JSON, "{\"refreshToken\":{\"value\":\"§\"}}"),
    Sent(JSON, "{\"message\":\"login failed for joe, password was '§'\"}"),
    Sent(JSON, "{\"aws_secret_access_key\":\"§\"}"),
    Sent(JSON, "{\"webhook\":\"https://hooks.x.example/services/T02AB34CD/B0452EFGH/§\"}"),
    Sent("application/json; charset=latin1", "{\"secret\":\"§\"}"),
    // Forms.
    Sent(FORM, "user[password]=§"),
    Sent(FORM, "client_assertion_type=x&client_assertion=§"),
    Sent(FORM, "grant_type=refresh_token&refresh_token=§"),
    Sent(FORM, "Action=AssumeRole&AWSSecretAccessKey=§"),
    Sent(FORM, "j_username=joe&j_password=§"),
    Sent(FORM, "log=joe&pwd=§"),
    Sent(FORM, "username=joe&passcode=§"),
    Sent(FORM, "RelayState=%2Fcb%3Faccess_token%3D§"),
    Sent(
        "multipart/form-data; boundary=bb",
        "--bb\r\nContent-Disposition: form-data; name=user[password]\r\n\r\n§\r\n--bb--\r\n",
    ),
    Sent(
        "multipart/form-data; boundary=bb",
        "--bb\r\nContent-Disposition: form-data; name=\"f\"; filename=\".env\"\r\n\r\n\
         SECRET_KEY=§\n\r\n--bb--\r\n",
    ),
    // Markup.
    Got(HTML, "<form action=\"/reset-password/§\"></form>"),
    Got(HTML, "<meta http-equiv=refresh content=\"0; url=/cb?code=§\">"),
    Got(HTML, "<a onclick=\"go('/reset-password/§')\">x</a>"),
    Got(HTML, "<input type=hidden name=SAMLResponse value=\"§\">"),
    Got(HTML, "<img src=\"https://joe:§@x.example/a.png\">"),
    Got(HTML, "<script>localStorage.setItem('token', '§')</script>"),
    Got(HTML, "<code>password=§</code>"),
    Got(XML, "<user password='§'><name>joe</name></user>"),
    Got(XML, "<add key=\"ApiKey\" value=\"§\"/>"),
    Got(XML, "<url>https://x.example/?sig=§&amp;a=1</url>"),
    Got(XML, "<u><!-- token: § --></u>"),
    Got(XML, "<auth><token type=\"x\"><v>§</v></token></auth>"),
    // Texts.
    Got(TEXT, "curl -H 'X-Api-Key: §' https://x.example"),
    Got(TEXT, "curl -u joe:§ https://x.example"),
    Got(TEXT, "mysql --password=§ -h db"),
    Got(TEXT, "login --token § --verbose"),
    Got(TEXT, "Set-Cookie: sid=§; Path=/\r\n"),
    Got(TEXT, "PGPASSWORD=§ psql"),
    Got(TEXT, "machine x.example login joe password §"),
    Got(TEXT, "'password' => '§',"),
    Got(TEXT, ":secret_key: §\n"),
    Got(TEXT, "GET /cb?code=§ HTTP/1.1\r\nHost: x\r\n"),
    Got(TEXT, "jdbc:postgresql://db/x?user=joe&password=§"),
    Got(TEXT, "AccountName=x;AccountKey=§;EndpointSuffix=y"),
    Got("application/toml", "[db]\npassword = \"§\"\n"),
    Got("text/yaml", "token: >-\n  §\nnext: 1\n"),
    Got("text/csv", "id;api_key\n1;§\n"),
    Got("text/tab-separated-values", "user\tsecret\njoe\t§\n"),
    Got("text/event-stream", "data: see /reset-password/§\n\n"),
    Got("application/graphql", "mutation { login(password: \"§\") { id } }"),
    Got("application/x-sh", "export AWS_SECRET_ACCESS_KEY='§'\n"),
];

/// Names and values that stand apart: in tables, lists and pages, in the fields of two pairs, in
/// the variables of a query, and names in an encoding.
const APART: &[PlantedPlace] = &[
    Got(HTML, "<tr><th>Password</th><td>§</td></tr>"),
    Got(HTML, "<tr><td>API key</td><td><code>§</code></td></tr>"),
    Got(
        HTML,
        "<table><thead><tr><th>User<th>Token<th>Age</tr></thead><tr><td>joe<td>§<td>3</tr></table>",
    ),
    Got(HTML, "<table><tr><td>Who</td><td>Secret</td></tr><tr><td>a</td><td>§</td></tr></table>"),
    Got(HTML, "<dl><dt>Client secret</dt><dd>\n  §\n</dd></dl>"),
    Got(HTML, "<p><b>Access token:</b> <span>§</span></p>"),
    Got(HTML, "<label>API key</label><div><input readonly value=\"§\"></div>"),
    Got(HTML, "Your password is <strong>§</strong>."),
    Got(HTML, "<p>&#112;assword=§</p>"),
    Got(HTML, "<input name=\"pass&#119;ord\" value=\"§\">"),
    Got(HTML, "<div data-config=\"{&quot;a&quot;:{&quot;token&quot;:&quot;§&quot;}}\"></div>"),
    Got("text/markdown", "# Users\n\n| Name | Password |\n|---|:--|\n| joe | `§` |\n"),
    Got("text/markdown", "| API key | § |\n"),
    Got("text/markdown", "* **API key**: `§`\n"),
    Got(TEXT, "+-----+-------+\n| who | token |\n+-----+-------+\n| joe | § |\n+-----+-------+\n"),
    Got(TEXT, " who | secret\n-----+--------\n joe | §\n(1 row)\n"),
    Got("text/csv", "\"name\",\"password\"\n\"joe\",\"§\"\n"),
    Got("text/csv", "key,value\na,b\napi_key,§\n"),
    Got(TEXT, "name;api_key\nx;§\n"),
    Got("application/octet-stream", "\u{feff}password,name\n§,joe\n"),
    Got("text/yaml", "env:\n  - name: DB_PASSWORD\n    value: \"§\"\n"),
    Got(TEXT, "dn: uid=joe\nuserPassword:: §\n"),
    Got(TEXT, "ALTER USER joe IDENTIFIED BY '§';"),
    Got(TEXT, "Your new password is §\n"),
    Got(TEXT, "export SMTP_PASS='§'\n"),
    Got(TEXT, "curl --proxy-user joe:§ https://x.example"),
    Got(TEXT, "GET /x?next=%2Fcb%3Faccess_token%3D§ HTTP/1.1"),
    Got(
        JSON,
        "{\"error\":{\"message\":\"Incorrect API key provided: §. You can find yours here\"}}",
    ),
    Got(JSON, "{\"error\":\"the API key § is not valid\"}"),
    Got(JSON, "{\"outputs\":{\"x\":{\"sensitive\":true,\"type\":\"string\",\"value\":\"§\"}}}"),
    Got(JSON, "[{\"value\":\"§\",\"key\":\"X\",\"masked\": true}]"),
    Got(JSON, "{\"rawHeaders\":[\"Host\",\"a\",\"X-Api-Key\",\"§\"]}"),
    Got(TEXT, "Your temporary password is: §"),
    Got(TEXT, "Your new password is now §."),
    Got(TEXT, "The session token § has expired"),
    Got(HTML, "<p>The recovery code was set to §.</p>"),
    Got(JSON, "{\"log\":\"GET /x?f=%7B%22password%22%3A%22§%22%7D\"}"),
    Got(JSON, "{\"errors\":[{\"field\":\"password\",\"rejectedValue\":\"§\"}]}"),
    Got(JSON, "{\"detail\":[{\"loc\":[\"body\",\"password\"],\"msg\":\"x\",\"input\":\"§\"}]}"),
    Got(JSON, "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"a\",\"d\":\"§\"}]}"),
    Got(JSON, "{\"kty\":\"oct\",\"k\":\"§\"}"),
    Got(JSON, "{\"data\":{\"foo\":\"§\"},\"kind\": \"Secret\"}"),
    Got(XML, "<u>a:1:{s:8:\"password\";s:20:\"§\";}</u>"),
    Sent(FORM, "data=a%3A1%3A%7Bs%3A5%3A%22token%22%3Bs%3A20%3A%22§%22%3B%7D"),
    Sent(FORM, "a=1&%2570assword=§"),
    Sent(FORM, "name=password&value=§"),
    Sent(FORM, "p%5B0%5D.name=token&p%5B0%5D.value=§"),
    Sent(
        "multipart/form-data; boundary=bb",
        "--bb\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\npassword\r\n--bb\r\n\
         Content-Disposition: form-data; name=\"value\"\r\n\r\n§\r\n--bb--\r\n",
    ),
    Target("/cb?state=§&scope=a"),
    Target("/x?Policy=§&Key-Pair-Id=a"),
    Target("/x?hdnts=st=1~exp=2~hmac=§"),
    Target("/t/§"),
    Target("/s/§/x"),
    Ask("X-ClickHouse-Key", "§"),
    Ask("X-Kong-Key", "§"),
    Ask("Referer", "https://x.example/?a=1&state=§"),
    Got(HTML, "<a href=\"https://x.example/login?a=1&amp;state=§\">x</a>"),
    Got("text/yaml", "kind: Secret\nstringData:\n  foo: §\n"),
    Got("text/yaml", "apiVersion: v1\ndata:\n  foo: §\nkind: Secret\n"),
    Got(TEXT, "PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 1\n§\nPrivate-MAC: 0a\n"),
    Got(TEXT, "WIFI:T:WPA;S:home;P:§;;"),
    Ask("CB-ACCESS-SIGN", "§"),
    Sent(FORM, "code=§&state=a&session_state=b"),
    Sent(JSON, "{\"html\":\"<p><input type=password value=§></p>\"}"),
    Sent(JSON, "[{\"op\":\"replace\",\"path\":\"/spec/password\",\"value\":\"§\"}]"),
    Sent(JSON, "[{\"name\":\"x\",\"secret\":true,\"value\":\"§\"}]"),
    Sent(JSON, "{\"hasło\":\"§\",\"パスワード\":\"§\",\"비밀번호\":\"§\",\"pw\":\"§\"}"),
    Got(TEXT, "os.environ['API_TOKEN'] = '§'"),
    Got(TEXT, "Array\n(\n    [password] => §\n)\n"),
    Got(JSON, "{\"qr\":\"WIFI:S:home;T:WPA;P:§;H:true;;\"}"),
    Got(TEXT, "array(1) {\n  [\"password\"]=>\n  string(20) \"§\"\n}\n"),
    Got(TEXT, "Array\n(\n    [token:protected] => §\n)\n"),
    Target("/x?filter%5B0%5D%5Bname%5D=password&filter%5B0%5D%5Bvalue%5D=§"),
    Target("/x?filter=token%20eq%20%27§%27"),
    Target(
        "/graphql?query=query(%24b%3AString!)%7Blogin(password%3A%24b)%7Bid%7D%7D&variables=\
         %7B%22b%22%3A%22§%22%7D",
    ),
    Target("/graphql?variables={%22b%22:%22§%22}&query=mutation($b:Password!){change(to:$b){id}}"),
    Sent(
        FORM,
        "query=query(%24b%3AX)%7Ba(secret%3A%24b)%7D&variables=%7B%22b%22%3A%7B%22c%22%3A%22§\
         %22%7D%7D",
    ),
    Sent(JSON, "{\"query\":\"query($b:S){a(token:$b)}\",\"variables\":\"{\\\"b\\\":\\\"§\\\"}\"}"),
    Sent(
        JSON,
        "{\"query\":\"mutation($x:String!){changePassword(old:$x){ok}}\",\
         \"variables\":{\"x\":\"§\"}}",
    ),
];

/// Names and values in code, on command lines, in protocols that are lines, in sentences, in
/// tables and lists of other layouts, and in streams of events.
const WRITTEN: &[PlantedPlace] = &[
    Got(TEXT, "static API_KEY: &'static str = \"§\";"),
    Got("text/typescript", "private token?: string = '§';"),
    Got(TEXT, "const dbPassword string = \"§\"\n"),
    Got(TEXT, "Settings { secret_key: Some(\"§\"), debug: true }"),
    Got("application/javascript", "client.setAccessToken('§');"),
    Got(HTML, "<script>withApiKey(`§`)</script>"),
    Got("application/javascript", "const token = process.env.TOKEN || '§';"),
    Got(TEXT, "secret = environ.get('x') or \"§\"\n"),
    Got("application/javascript", "o.password = isTest ? \"§\" : null;"),
    Got(HTML, "<script>load('{\\u0022apiKey\\u0022:\\u0022§\\u0022}')</script>"),
    Got(TEXT, "$ sshpass -p '§' scp a b:"),
    Got(TEXT, "podman login -u joe -p § registry.example"),
    Got(TEXT, "mysqldump -h db -u joe -p§ shop > shop.sql"),
    Got(TEXT, "redis-cli -h cache -a § info"),
    Got(TEXT, "ldapsearch -x -D cn=admin -w § -b dc=example"),
    Got(TEXT, "USER anonymous\r\nPASS §\r\nQUIT\r\n"),
    Got(TEXT, "EHLO x\nAUTH PLAIN §\n"),
    Got(TEXT, "The API key for billing is §."),
    Got(TEXT, "unknown token (§), try again"),
    Got(TEXT, "Unknown session id §"),
    Got(TEXT, "Mot de passe : §\n"),
    Got(TEXT, "密码：§\n"),
    Got(TEXT, "jdbc:oracle:oci:scott/§@db1"),
    Got(TEXT, "post to https://hooks.zapier.com/hooks/catch/98765/§ instead"),
    Got("text/yaml", "tokens:\n  - §\n"),
    Got("text/yaml", "app:\n  credentials:\n    primary:\n      value: \"§\"\n"),
    Got("text/csv", "# export of 2026-11-28\n# all users\nuser,api_key\njoe,§\n"),
    Got("text/csv", "sep=\t\nuser\tsecret\njoe\t§\n"),
    Got("text/csv", "host,db.example\npassword,§\n"),
    Got("text/event-stream", "id: 7\ndata: {\ndata:   \"secret\":\ndata:   \"§\"}\n\n"),
    Got("text/event-stream", "event: access_token\ndata: §\n\n"),
    Got(HTML, "<strong class=\"mono api-key\">§</strong>"),
    Got(HTML, "<div id=\"client-secret\"> § </div>"),
    Got(XML, "<list><i name=\"password\">§</i></list>"),
    Got(HTML, "<option data-name=token value=§>one</option>"),
    Sent(JSON, "{\"grant_type\":\"authorization_code\",\"code\":\"§\"}"),
    Sent(JSON, "{\"label\":\"API key\",\"value\":\"§\"}"),
    Sent(JSON, "[\"~:password\",\"§\"]"),
    Sent(JSON, "{\"tokens\":{\"refresh\":\"§\"},\"seed\":\"§\"}"),
    Sent(JSON, "{\"कूटशब्द\":\"§\",\"รหัสผ่าน\":\"§\",\"كلمة المرور\":\"§\"}"),
    Sent(
        "multipart/form-data",
        "--bb\r\nContent-Disposition: form-data; name=\"secret\"\r\n\r\n§\r\n--bb--\r\n",
    ),
    Got("application/javascript", "wpApi = {\"nonce\":\"§\"}"),
    Ask("Forwarded", "for=192.0.2.7;host=\"joe:§@shop.example\""),
    Ask("X-Firewall-Bypass", "§"),
    Got(TEXT, "git clone https://§@github.com/shop/v2"),
    Sent(JSON, "{\"dsn\":\"https://§@ingest.example/4\"}"),
    Target("/calendar/§/events.ics"),
];

/// Places in which the secret stands in base64 of JSON.
const ENCODED: &[PlantedPlace] = &[
    Ask("X-Context", "¤"),
    Ask("X-Amz-Meta", "data ¤"),
    Target("/x?state=¤"),
    Sent(JSON, "{\"data\":\"¤\"}"),
    Sent(JSON, "{\"message\":{\"data\":\"¤\",\"id\":1}}"),
    Sent(FORM, "data=¤"),
    Got(TEXT, "¤"),
    Got(XML, "<u><data>¤</data></u>"),
    Got(HTML, "<div data-props=\"¤\"></div>"),
];

/// Where a secret that is known by its name elsewhere is repeated without one.
const ECHOES: &[PlantedPlace] = &[
    Target("/files/§/x"),
    Target("/x?q=§"),
    Ask("Host", "§.example.com"),
    Ask("X-Note", "§"),
    Answer("X-Note", "was §"),
    Answer("Location", "https://§.example.com/"),
    Answer("Warning", "199 - \"§\""),
    Reason("no §"),
    Trailer("X-Note", "§"),
    Sent(JSON, "{\"a\":\"§\"}"),
    Sent(TEXT, "§"),
    Got(JSON, "{\"error\":\"unknown §\"}"),
    Got(JSON, "{\"data\":\"¤\"}"),
    Got(JSON, "[\"x\",[\"§\"]]"),
    Got(XML, "<a>§</a>"),
    Got(HTML, "<p>Hello §</p>"),
    Got(TEXT, "unknown § (¤)"),
    Got("application/octet-stream", "\u{1}\u{2}§\u{0}"),
];

fn filled(template: &str, secret: &str, encoded: &str) -> String {
    template.replace('§', secret).replace('¤', encoded)
}

fn exchange(place: PlantedPlace, fill: &dyn Fn(&str) -> Vec<u8>) -> Exchange {
    let (mut request, mut response) = (
        Request { target: Bytes::from_static(b"/"), ..Request::default() },
        Response { status: 200, ..Response::default() },
    );
    let typed = |headers: &mut Headers, kind: &str| {
        if !kind.is_empty() {
            headers.push(b"Content-Type", kind.as_bytes());
        }
    };
    match place {
        Target(target) => request.target = fill(target).into(),
        Ask(name, value) => request.headers.push(name.as_bytes(), &fill(value)),
        Answer(name, value) => response.headers.push(name.as_bytes(), &fill(value)),
        Trailer(name, value) => response.trailers.push(name.as_bytes(), &fill(value)),
        Reason(reason) => response.reason = fill(reason).into(),
        Sent(kind, body) => {
            typed(&mut request.headers, kind);
            request.body = Body::whole(fill(body));
        }
        Got(kind, body) => {
            typed(&mut response.headers, kind);
            response.body = Body::whole(fill(body));
        }
    }
    Exchange {
        id: ExchangeId { connection: 1, ordinal: 0 },
        client: "10.0.0.9:40112".parse().unwrap(),
        server: "10.0.0.1:8080".parse().unwrap(),
        protocol: "http/1".to_owned(),
        carriage: None,
        completeness: Completeness::Complete,
        request: Some(TimedRequest { at: Timestamp::default(), duration_ns: 0, message: request }),
        response: Some(TimedResponse {
            at: Timestamp::default(),
            first_byte_ns: Some(1),
            last_byte_ns: Some(1),
            message: response,
        }),
        interim: vec![],
        opened_at: None,
        handshake_ns: None,
        marks: vec![],
        closed: vec![],
    }
}

/// Everything in a recording, each base64 in it decoded, and its bodies as they are.
fn readable(exchange: &Exchange) -> Vec<u8> {
    let mut text = Vec::new();
    log::write(&mut text, exchange);
    for body in [
        &exchange.request.as_ref().unwrap().message.body,
        &exchange.response.as_ref().unwrap().message.body,
    ] {
        text.extend_from_slice(&body.bytes);
    }
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    let words: Vec<Vec<u8>> = text.split(|byte| !is_base64(byte)).map(<[u8]>::to_vec).collect();
    for word in words.iter().filter(|word| word.len() > 12) {
        let padded = word.len() / 4 * 4;
        for decoded in [STANDARD.decode(&word[..padded]), URL_SAFE_NO_PAD.decode(word)] {
            text.extend(decoded.into_iter().flatten());
            text.push(b'\n');
        }
    }
    text
}

fn holds(text: &[u8], secret: &str) -> bool {
    let small = text.to_ascii_lowercase();
    memchr::memmem::find(&small, secret.to_ascii_lowercase().as_bytes()).is_some()
}

/// What people read of the same place.
fn shown(place: PlantedPlace, fill: &dyn Fn(&str) -> String) -> String {
    let masker = Masker::new(b"key");
    match place {
        Target(target) => masker.target(&fill(target)).into_owned(),
        Ask(name, value) | Answer(name, value) | Trailer(name, value) => {
            masker.header(name, &fill(value)).into_owned()
        }
        Reason(reason) => masker.text(&fill(reason)).into_owned(),
        Sent(_, body) | Got(_, body) => masker.text(&fill(body)).into_owned(),
    }
}

fn redacted(mut exchange: Exchange) -> Exchange {
    Redactor::new(&[RedactRule::Default], b"key").apply(&mut exchange);
    exchange
}

#[test]
fn no_planted_secret_is_left() {
    let mut left = Vec::new();
    let mut planted = 0;
    let basic = STANDARD.encode(format!("joe:{SECRET}"));
    let json = STANDARD.encode(format!("{{\"user\":\"joe\",\"password\":\"{SECRET}\"}}"));
    let pairs = STANDARD.encode(format!("user=joe&password={SECRET}&a=1"));
    let markup = URL_SAFE_NO_PAD.encode(format!("<u><api_key>{SECRET}</api_key></u>"));
    for (places, encoded) in [
        (PLACES, &basic),
        (FURTHER, &basic),
        (APART, &basic),
        (WRITTEN, &basic),
        (ENCODED, &json),
        (ENCODED, &pairs),
        (ENCODED, &markup),
    ] {
        for &place in places {
            planted += 1;
            let fill = |template: &str| filled(template, SECRET, encoded);
            let after = redacted(exchange(place, &|template| fill(template).into_bytes()));
            if holds(&readable(&after), SECRET) {
                left.push(format!("in a recording: {place:?}"));
            }
            // The type of a body is not known there, nor is markup around a value.
            let is_typed = matches!(place, Got("text/csv" | "text/tab-separated-values", _));
            let shown = shown(place, &fill);
            if !is_typed && (holds(shown.as_bytes(), SECRET) || shown.contains(encoded)) {
                left.push(format!("in a report: {place:?}"));
            }
        }
    }
    for &place in ECHOES {
        planted += 1;
        let inside = STANDARD.encode(format!("x{SECRET}y"));
        let fill = |template: &str| filled(template, SECRET, &inside).into_bytes();
        let mut one = exchange(place, &fill);
        one.request.as_mut().unwrap().message.headers.push(b"X-Api-Key", SECRET.as_bytes());
        if holds(&readable(&redacted(one)), SECRET) {
            left.push(format!("repeated: {place:?}"));
        }
    }
    assert!(planted >= 200, "{planted}");
    assert!(left.is_empty(), "{} of {planted} are left:\n{}", left.len(), left.join("\n"));
}

#[test]
fn no_token_of_a_vendor_is_left_under_a_name_that_says_nothing() {
    const SIGNS: &[u8] = b"7Kq2Zr0pW3sT9uVbN1mLcE5hJ8dGf2YaQ4RiXo6BwStUvPzMnKlCjHgFeD";
    let places = [
        Sent(JSON, "{\"v\":\"§\"}"),
        Got(TEXT, "the § is it"),
        Target("/x?v=§"),
        Ask("X-Note", "§"),
        Got(XML, "<v>§</v>"),
    ];
    for vendor in VENDORS.iter() {
        let token = vendor.sample(SIGNS);
        for place in places {
            let fill = |template: &str| template.replace('§', &token);
            let after = redacted(exchange(place, &|template| fill(template).into_bytes()));
            assert!(!holds(&readable(&after), &token), "{token} {place:?}");
            assert!(!shown(place, &fill).contains(&token), "{token} {place:?}");
        }
    }
}

#[test]
fn no_secret_is_left_behind_a_coding_that_no_header_tells() {
    let text = format!("{{\"note\":\"é漢\",\"password\":\"{SECRET}\"}}");
    let gzip = |text: &[u8]| {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        coder.write_all(text).unwrap();
        coder.finish().unwrap()
    };
    let wide = |to: fn(u32) -> [u8; 4]| text.chars().map(u32::from).flat_map(to).collect();
    let units = |to: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to).collect::<Vec<u8>>();
    for body in [
        gzip(text.as_bytes()),
        zstd::encode_all(text.as_bytes(), 1).unwrap(),
        units(u16::to_le_bytes),
        units(u16::to_be_bytes),
        [&[0xff, 0xfe], &units(u16::to_le_bytes)[..]].concat(),
        wide(u32::to_le_bytes),
        wide(u32::to_be_bytes),
    ] {
        let place = Got(JSON, "");
        let after = redacted(exchange(place, &|_| body.clone()));
        let new = after.response.unwrap().message.body.bytes;
        let wrapping = super::wrapped::Wrapping::of(&new, b"").expect("wrapped as before");
        let new = String::from_utf8(wrapping.undo(&new).expect("it can be read")).unwrap();
        assert!(new.starts_with("{\"note\":\"é漢\",\"password\":\"") && new.len() == text.len());
        assert!(!new.contains(SECRET), "{new}");
    }
}

#[test]
fn compressed_values_in_base64_are_hidden_as_a_whole_where_they_hold_a_secret() {
    let zlib = |text: &str| {
        let mut coder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        coder.write_all(text.as_bytes()).unwrap();
        coder.finish().unwrap()
    };
    let gzip = |text: &str| {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        coder.write_all(text.as_bytes()).unwrap();
        coder.finish().unwrap()
    };
    let secret = format!("{{\"user\":\"joe\",\"password\":\"{SECRET}\"}}");
    let plain = "{\"user\":\"joe\",\"note\":\"nothing to see in it\"}";
    for (text, is_kept) in [(&*secret, false), (plain, true)] {
        for packed in [gzip(text), zlib(text)] {
            let text = STANDARD.encode(packed);
            let value = text.trim_end_matches('=');
            for place in [Sent(JSON, "{\"data\":\"§\"}"), Got(TEXT, "§"), Sent(FORM, "a=1&d=§")]
            {
                let filled = |template: &str| template.replace('§', value).into_bytes();
                let after = redacted(exchange(place, &filled));
                assert_eq!(holds(&readable(&after), value), is_kept, "{place:?} {text}");
            }
        }
    }
}

#[test]
fn messages_of_a_websocket_hold_no_secret_and_no_repetition_of_one() {
    let text = |data: &str| SocketMessage {
        direction: Direction::ToServer,
        at_ns: 1,
        kind: SocketKind::Text,
        data: Body::whole(data.as_bytes().to_vec()),
    };
    let mut one = exchange(Ask("X-Api-Key", "aYJYwY4azJ5oAPmg"), &|text| text.into());
    let close = SocketMessage { kind: SocketKind::Close, ..text("\u{3}\u{1}no aYJYwY4azJ5oAPmg") };
    let sni = Some("ayjywy4azj5oapmg.example".to_owned());
    one.carriage = Some(Box::new(Carriage {
        messages: vec![
            text(&format!(
                "{{\"type\":\"connection_init\",\"payload\":{{\"token\":\"{SECRET}\"}}}}"
            )),
            text("[\"phx_join\",\"aYJYwY4azJ5oAPmg\"]"),
            close,
        ],
        tls: Some(TlsSession { sni, ..TlsSession::default() }),
        ..Carriage::default()
    }));
    let redactor = Redactor::new(&[RedactRule::Default], b"key");
    redactor.apply(&mut one);
    let text = readable(&one);
    assert!(!holds(&text, SECRET) && !holds(&text, "aYJYwY4azJ5oAPmg"));
    let carriage = one.carriage.unwrap();
    assert!(carriage.messages[2].data.bytes.starts_with(b"\x03\x01no "));
    assert_eq!(redactor.unsearched().bodies, 0, "a code of two bytes is no body");
}

#[test]
fn what_v2_says_on_a_websocket_gets_the_tokens_that_v1s_has() {
    let message = |direction, data: String| SocketMessage {
        direction,
        at_ns: 1,
        kind: SocketKind::Text,
        data: Body::whole(data.into_bytes()),
    };
    let hello = |secret: &str| format!("{{\"type\":\"hello\",\"token\":\"{secret}\"}}");
    let told = |secret: &str| format!("{{\"you_said\":\"{secret}\"}}");
    let (up, down) = (Direction::ToServer, Direction::ToClient);
    let mut v1 = exchange(Ask("X-A", "b"), &|text| text.into());
    v1.carriage = Some(Box::new(Carriage {
        messages: vec![message(up, hello(SECRET)), message(down, told(SECRET))],
        ..Carriage::default()
    }));
    let recorded = v1.clone();
    let redactor = Redactor::new(&[RedactRule::Default], b"key");
    redactor.apply(&mut v1);
    let (was, is) = (recorded.carriage.unwrap().messages, v1.carriage.unwrap().messages);
    let request = v1.request.unwrap().message;
    // Of a recording with its secrets, and of a redacted one, whose tokens v2 repeats.
    let known = super::KnownTokens::default();
    for (sent, known) in [(&was, None), (&is, Some(&known))] {
        let mut said = vec![SocketMessage { direction: down, ..sent[1].clone() }];
        let asked = super::AnsweredRequest {
            request: Some(&request),
            messages: &sent[..1],
            given: &[],
            known,
        };
        redactor.session(asked, &mut Response::default(), &mut said, true);
        assert_eq!(said[0].data, is[1].data, "{known:?}");
        assert!(!holds(&said[0].data.bytes, SECRET));
    }
}

#[test]
fn words_that_are_no_secrets_stay() {
    for (place, text) in [
        (Answer("Access-Control-Allow-Credentials", "true"), "true"),
        (Answer("WWW-Authenticate", "Bearer scope=\"a\", error=\"invalid_token\""), "scope=\\\"a"),
        (Answer("Set-Cookie", "theme=deleted; Max-Age=0"), "theme=deleted"),
        (
            Target("/x?code=404&key=title&session=morning&sid=7"),
            "404&key=title&session=morning&sid=7",
        ),
        (Sent(JSON, "{\"session\":{\"title\":\"Lunch break\",\"room\":\"B2\"}}"), "Lunch break"),
        (Sent(JSON, "{\"signature\":\"Kind regards, Ann\"}"), "Kind regards, Ann"),
        (Sent(JSON, "{\"token\":\"REDACTED\",\"password\":\"*****\"}"), "\\\"*****"),
        (Sent(JSON, "{\"label\":\"Password\",\"text\":\"Choose one\"}"), "Choose one"),
        (Sent(JSON, "[\"password\",\"name\",\"token\",\"age\"]"), "token"),
        (Sent(JSON, "{\"max_tokens\":4096,\"api_key_id\":17}"), "4096"),
        (Sent(JSON, "{\"code\":\"a1b2c3\",\"status\":1}"), "a1b2c3"),
        (Got(TEXT, "pass: 31, fail: 2\n"), "31, fail: 2"),
        (
            Got(TEXT, "ssh://deploy2024@shop:22/ and https://web-frontend-one@shop/"),
            "deploy2024@shop",
        ),
        (Got(TEXT, "Session: Lunch break\nSession: 12\n"), "Lunch break"),
        (Got(TEXT, "mkdir -p a1b2 && ssh -p 2222 x -w f1"), "a1b2"),
        (Got(TEXT, "getToken(\"user-2024\"); password = env(\"DB_PASS_2\")"), "DB_PASS_2"),
        (Got(HTML, "<div class=\"password-help\">Nobody asks</div>"), "Nobody asks"),
        (Got("text/csv", "field,about\npassword,of the user\n"), "of the user"),
        (Got("text/event-stream", "data: one token\ndata: two a1b2c3\n\n"), "a1b2c3"),
        (
            Answer("Access-Control-Allow-Headers", "Authorization, X-Api-Key"),
            "Authorization, X-Api-Key",
        ),
        (Answer("WWW-Authenticate", "Bearer realm=\"shop\""), "realm=\\\"shop\\\""),
        (Ask("Authorization", "Negotiate"), "Negotiate"),
        (Ask("Sec-WebSocket-Protocol", "graphql-transport-ws, mqtt"), "graphql-transport-ws, mqtt"),
        (Sent(JSON, "{\"password\":null,\"token\":\"none\",\"max_tokens\":5}"), "none"),
        (Sent(JSON, "{\"name\":\"shoes\",\"value\":\"red\"}"), "red"),
        (Sent(JSON, "{\"fields\":[\"password\",\"name\"]}"), "[\\\"password\\\",\\\"name\\\"]"),
        (Got(HTML, "<tr><th>Password</th><td>required</td><td>string</td></tr>"), "required"),
        (Got(HTML, "<tr><th>Token<th>Updated</tr><tr><td>none<td>2026-11-29</tr>"), "2026-11-29"),
        (Got(HTML, "<p>Forgot your password?</p><p>Version2 is out</p>"), "Version2"),
        (Got("text/markdown", "| name | token |\n|---|---|\n| a1b2 | yes |\n"), "a1b2"),
        (Sent(FORM, "name=shoes42&value=red42"), "red42"),
        (Sent(JSON, "{\"d\":\"a1b2c3\",\"kind\":\"Pod\",\"data\":{\"x\":\"y7\"}}"), "y7"),
        (Got(TEXT, "name, token\nSee a1b2c3 for more"), "a1b2c3"),
        (Got(HTML, "<label for=password>Password</label><div id=token-help>Help</div>"), ">Help<"),
        (
            Target("/users/6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11"),
            "6f1d7c1e-0d0a-4d1c-9a53-2f6b1c7c0a11",
        ),
        (Target("/assets/app-3f2a91c0.js"), "app-3f2a91c0.js"),
    ] {
        let after = redacted(exchange(place, &|template| template.as_bytes().to_vec()));
        let mut line = Vec::new();
        log::write(&mut line, &after);
        let line = String::from_utf8(line).unwrap();
        assert!(line.contains(text), "{place:?}: {line}");
    }
}

#[test]
fn a_body_that_nobody_can_search_is_counted_and_left_out_where_that_is_asked() {
    let message = b"\x0a\x05hello\x10\x01\x1a\x03\x00\x01\x02";
    for (rule, kept) in [(RedactRule::Default, message.len()), (RedactRule::Strict, 0)] {
        let redactor = Redactor::new(&[rule], b"key");
        let mut one = exchange(Got("application/grpc", ""), &|_| message.to_vec());
        redactor.apply(&mut one);
        assert_eq!(one.response.as_ref().unwrap().message.body.bytes.len(), kept);
        assert_eq!(redactor.unsearched().bytes, message.len() as u64);
        assert_eq!(one.marks.len(), usize::from(kept == 0));
    }
}

#[test]
fn messages_without_a_schema_are_looked_into() {
    const JWT: &str =
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.s5Y3nFs1wXyz0123456789abcdefghijABCDEFGHIJK";
    let field = |number: u8, content: &[u8]| {
        [&[number << 3 | 2, content.len() as u8][..], content].concat()
    };
    let inner = field(2, format!("{{\"password\":\"{JWT}\"}}").as_bytes());
    let message =
        [&field(1, b"plain")[..], b"\x10\x01", &field(3, &inner), &field(4, &[0xff, 0xfe])];
    let message = message.concat();
    let frame = |flag: u8, message: &[u8]| {
        [&[flag][..], &(message.len() as u32).to_be_bytes(), message].concat()
    };
    let packed = {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&message).unwrap();
        gzip.finish().unwrap()
    };
    for (kind, body) in [
        ("application/grpc", frame(0, &message)),
        ("application/grpc", [frame(0, &message), frame(1, &packed)].concat()),
        ("application/grpc-web+proto", frame(1, &packed)),
        ("application/x-protobuf", message.clone()),
    ] {
        let redactor = Redactor::new(&[RedactRule::Default], b"key");
        let mut one = exchange(Got(kind, ""), &|_| body.clone());
        one.response.as_mut().unwrap().message.headers.push(b"grpc-encoding", b"gzip");
        redactor.apply(&mut one);
        let new = &one.response.as_ref().unwrap().message.body.bytes;
        assert!(memchr::memmem::find(new, JWT.as_bytes()).is_none(), "{kind}");
        assert!(memchr::memmem::find(new, b"plain").is_some(), "{kind}");
        // Still the messages that they were, of other strings.
        let framed = if kind.ends_with("x-protobuf") { frame(0, new) } else { new.to_vec() };
        let read = crate::message::grpc::messages(
            crate::message::media::MediaType::new(b"application/grpc"),
            &Headers::new(),
            &framed,
        );
        assert_eq!(read.rest, 0, "{kind}");
        for message in read.messages {
            let message = message.expect("it is not compressed any more");
            let seen = std::cell::Cell::new(0);
            let count = &mut |_: &[u8]| {
                seen.set(seen.get() + 1);
                None
            };
            crate::message::protobuf::with_strings(&message, count);
            assert_eq!(seen.get(), 2, "{kind}");
        }
        assert_eq!(redactor.unsearched().bodies, 1, "what no name tells may still be secret");
    }
}

#[test]
fn compressed_parts_are_looked_into() {
    let inner = format!("{{\"a\":1,\"password\":\"{SECRET}\"}}");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(inner.as_bytes()).unwrap();
    let packed = gzip.finish().unwrap();
    for kind in ["application/gzip", "application/octet-stream", ""] {
        let head = match kind {
            "" => String::new(),
            kind => format!("\r\nContent-Type: {kind}"),
        };
        let head = format!("--bb\r\nContent-Disposition: form-data; name=\"f\"{head}\r\n\r\n");
        let body = [head.as_bytes(), &packed, b"\r\n--bb--\r\n"].concat();
        let mut one = exchange(Sent("multipart/form-data; boundary=bb", ""), &|_| body.clone());
        Redactor::new(&[RedactRule::Default], b"key").apply(&mut one);
        let new = &one.request.as_ref().unwrap().message.body.bytes;
        let (start, end) = (head.len(), new.len() - b"\r\n--bb--\r\n".len());
        let text =
            crate::message::content::decode(&new[start..end], [&b"gzip"[..]].into_iter(), 999);
        let text = String::from_utf8(text.unwrap().into_owned()).unwrap();
        assert!(text.starts_with("{\"a\":1,\"password\":") && !text.contains(SECRET), "{text}");
    }
}

/// A service that answers with what it was asked.
fn echo(request: &Request) -> Response {
    let headers: serde_json::Map<String, serde_json::Value> = request
        .headers
        .iter()
        .map(|(name, value)| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (text(name), text(value).into())
        })
        .collect();
    let body = serde_json::json!({
        "headers": headers,
        "url": String::from_utf8_lossy(&request.target),
        "data": String::from_utf8_lossy(&request.body.bytes),
    });
    let mut fields = Headers::new();
    fields.push(b"Content-Type", JSON.as_bytes());
    Response {
        status: 200,
        headers: fields,
        body: Body::whole(body.to_string().into_bytes()),
        ..Response::default()
    }
}

#[test]
fn a_service_that_echoes_answers_alike_to_secrets_and_to_their_tokens() {
    let redactor = Redactor::new(&[RedactRule::Default], b"key");
    let basic = STANDARD.encode(format!("joe:{SECRET}"));
    let mut wrong = Vec::new();
    for &place in PLACES.iter().filter(|place| matches!(place, Ask(..) | Target(_) | Sent(..))) {
        for secret in [SECRET, "s3cr3t-w0rd", "4111111111111111"] {
            let fill = |template: &str| filled(template, secret, &basic).into_bytes();
            let mut v1 = exchange(place, &fill);
            v1.response.as_mut().unwrap().message = echo(&v1.request.as_ref().unwrap().message);
            redactor.apply(&mut v1);
            let (recorded, expected) = (v1.request.unwrap().message, v1.response.unwrap().message);
            let mut known = super::KnownTokens::default();
            redactor.learn(&recorded, &mut known);
            let mut v2 = echo(&recorded);
            let asked = super::AnsweredRequest {
                request: Some(&recorded),
                known: Some(&known),
                ..super::AnsweredRequest::default()
            };
            redactor.answer(asked, &mut v2, true);
            if v2 != expected {
                let text = |response: &Response| {
                    String::from_utf8_lossy(&response.body.bytes).into_owned()
                };
                wrong.push(format!("{place:?}\n  v1 {}\n  v2 {}", text(&expected), text(&v2)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
