//! The sign-in to Microsoft Entra: what is sent, when, and what is said of a tenant that says no. The tenant is one on
//! loopback; what it is sent is verified by openssl.

use crate::support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use icechatd::config::{Credential, Entra, Places, Secrecy};
use icechatd::entra::{Certificate, SignIn, SignInError};
use icechatd::keys::{self, Made};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::firm::{Firm, Said, Settings};
use support::planted;
use support::tenant::{CLIENT, Fault, TENANT, Tenant};

const SCOPE: &str = "https://graph.microsoft.com/.default";

/// A folder with certificates, and a tenant.
struct Home {
    dir: tempfile::TempDir,
    tenant: Tenant,
}

impl Home {
    fn new(names: &[&str]) -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap(), tenant: Tenant::start() };
        for name in names {
            let made = keys::init_entra(&home.dir.path().join(name), Some("ACME"), Timestamp::now()).unwrap();
            assert_eq!(made, Made::New);
        }
        home
    }

    fn entra(&self, names: &[&str]) -> Entra {
        let places = Places { systemd: None, beside: self.dir.path().to_owned() };
        let credential = |name: &&str| Credential::new("entra.certificate", name, Secrecy::Secret, &places);
        Entra {
            tenant: TENANT.to_owned(),
            client_id: CLIENT.to_owned(),
            certificates: names.iter().map(credential).collect(),
            authority: self.tenant.endpoint(),
            graph: self.tenant.endpoint(),
        }
    }

    fn sign_in(&self, names: &[&str]) -> Result<SignIn, SignInError> {
        SignIn::new(&self.entra(names))
    }

    fn certificate(&self, name: &str) -> Certificate {
        Certificate::parse(name, &fs::read(self.dir.path().join(name)).unwrap()).unwrap()
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn part(text: &str) -> Value {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()).unwrap()
}

fn openssl(args: &[&str], folder: &Path) -> String {
    let output = Command::new("openssl").args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether openssl finds that the key of the certificate in `pem` signed the assertion, as PS256 says.
fn is_signed_by(assertion: &str, pem: &str, folder: &Path) -> bool {
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    fs::write(folder.join("signed"), signed).unwrap();
    fs::write(folder.join("signature"), BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap()).unwrap();
    fs::write(folder.join("public.pem"), openssl(&["x509", "-in", pem, "-noout", "-pubkey"], folder)).unwrap();
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32", "-sigopt", "rsa_mgf1_md:sha256"];
    let verify = ["dgst", "-sha256", "-verify", "public.pem", "-signature", "signature"];
    let verified = Command::new("openssl").args(verify).args(pss).arg("signed").current_dir(folder).output().unwrap();
    verified.status.success()
}

#[test]
fn the_assertion_is_what_entra_documents_and_the_certificate_signed_it() {
    let home = Home::new(&["new", "other"]);
    let before = Timestamp::now().as_second();
    wait(home.sign_in(&["new"]).unwrap().token(SCOPE)).unwrap();
    let asked = &home.tenant.asked()[0];
    assert_eq!(asked.line, format!("POST /{TENANT}/oauth2/v2.0/token"));
    assert_eq!(asked.form["grant_type"], "client_credentials");
    assert_eq!(asked.form["client_id"], CLIENT);
    assert_eq!(asked.form["scope"], SCOPE);
    assert_eq!(asked.form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert_eq!(asked.form.len(), 5);

    let assertion = &asked.form["client_assertion"];
    let parts: Vec<&str> = assertion.split('.').collect();
    let (header, claims) = (part(parts[0]), part(parts[1]));
    let der = BASE64.decode(
        openssl(&["x509", "-in", "new", "-outform", "PEM"], home.dir.path())
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect::<String>()
            .as_bytes(),
    );
    let thumbprint = BASE64URL_NOPAD.encode(&Sha256::digest(der.unwrap()));
    assert_eq!(header, json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}));
    let endpoint = format!("{}/{TENANT}/oauth2/v2.0/token", home.tenant.endpoint());
    assert_eq!((&claims["aud"], &claims["iss"], &claims["sub"]), (&json!(endpoint), &json!(CLIENT), &json!(CLIENT)));
    let seconds = |claim: &str| claims[claim].as_i64().unwrap();
    assert!((before..=before + 30).contains(&seconds("nbf")) && seconds("iat") == seconds("nbf"));
    assert!((60..=600).contains(&(seconds("exp") - seconds("nbf"))), "short");
    assert!(claims["jti"].as_str().unwrap().len() >= 32);

    assert!(is_signed_by(assertion, "new", home.dir.path()));
    assert!(!is_signed_by(assertion, "other", home.dir.path()));
    assert!(!is_signed_by(&assertion.replacen('.', "A.", 1), "new", home.dir.path()));
    wait(home.sign_in(&["new"]).unwrap().token(SCOPE)).unwrap();
    let again = home.tenant.asked()[1].form["client_assertion"].clone();
    assert_ne!(part(again.split('.').nth(1).unwrap())["jti"], claims["jti"], "each has an id of its own");
}

#[test]
fn a_token_goes_on_while_the_tenant_does_not_answer_for_a_moment() {
    let home = Home::new(&["cert"]);
    let sign_in = home.sign_in(&["cert"]).unwrap();
    // Of so short a life a fifth is kept back.
    home.tenant.tokens_last(5);
    wait(async {
        let first = sign_in.token(SCOPE).await.unwrap();
        tokio::time::sleep(Duration::from_millis(4_100)).await;
        for _ in 0..3 {
            home.tenant.fail(Fault::new("/token", 503, "").with("Retry-After: 0"));
        }
        let second = sign_in.token(SCOPE).await.unwrap();
        assert_eq!((second.expose(), home.tenant.faults_left()), (first.expose(), 0));
    });
}

#[test]
fn a_token_is_asked_for_once_for_each_scope_until_shortly_before_its_end() {
    let home = Home::new(&["new"]);
    let sign_in = Arc::new(home.sign_in(&["new"]).unwrap());
    wait(async {
        let first = sign_in.token(SCOPE).await.unwrap();
        for _ in 0..20 {
            assert_eq!(sign_in.token(SCOPE).await.unwrap().expose(), first.expose());
        }
        assert_eq!(home.tenant.sign_ins(), 1);
        let many = (0..8).map(|_| {
            let sign_in = Arc::clone(&sign_in);
            tokio::spawn(async move { sign_in.token("https://storage.azure.com/.default").await.unwrap() })
        });
        for one in many.collect::<Vec<_>>() {
            assert_ne!(one.await.unwrap().expose(), first.expose());
        }
        assert_eq!(home.tenant.sign_ins(), 2, "who comes while one is asked for waits for it");
        // What was refused is replaced once, by whoever says so first.
        let second = sign_in.token_after(SCOPE, &first).await.unwrap();
        assert_ne!(second.expose(), first.expose());
        assert_eq!(sign_in.token_after(SCOPE, &first).await.unwrap().expose(), second.expose());
        assert_eq!(home.tenant.sign_ins(), 3);
    });
    home.tenant.tokens_last(1);
    let sign_in = home.sign_in(&["new"]).unwrap();
    wait(async {
        sign_in.token(SCOPE).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        sign_in.token(SCOPE).await.unwrap();
    });
    assert_eq!(home.tenant.sign_ins(), 5);
}

#[test]
fn microsofts_libraries_take_the_sign_in_as_a_credential() {
    let home = Home::new(&["new"]);
    let credential: Arc<dyn TokenCredential> = Arc::new(home.sign_in(&["new"]).unwrap());
    let scope = ["https://storage.azure.com/.default"];
    let token = wait(credential.get_token(&scope, None)).unwrap();
    assert!(token.token.secret().starts_with("planted-access-token"));
    let left = token.expires_on.unix_timestamp() - Timestamp::now().as_second();
    assert!((3500..=3600).contains(&left));
    wait(credential.get_token(&scope, None)).unwrap();
    assert_eq!((home.tenant.sign_ins(), home.tenant.asked()[0].form["scope"].as_str()), (1, scope[0]));
    planted::look_through("debug", &format!("{credential:?} {token:?}"));
    home.tenant.fail(Fault::new("/token", 401, refusal(700_027)));
    let refused = wait(credential.get_token(&["other"], None)).unwrap_err();
    assert!(refused.to_string().contains("does not know this certificate"), "{refused}");
}

fn refusal(code: u32) -> String {
    let words = format!("AADSTS{code}: Something is wrong. More of it. Trace ID: 1 Correlation ID: 2");
    json!({"error": "invalid_client", "error_description": words, "error_codes": [code]}).to_string()
}

/// During a rotation the new certificate is made before it is uploaded.
#[test]
fn a_certificate_that_the_tenant_does_not_know_yet_leaves_the_one_before_in_use() {
    let home = Home::new(&["new", "old"]);
    home.tenant.fail(Fault::new("/token", 401, refusal(700_027)));
    wait(home.sign_in(&["new", "old"]).unwrap().token(SCOPE)).unwrap();
    let used: Vec<_> = home
        .tenant
        .take_asked()
        .iter()
        .map(|asked| part(asked.form["client_assertion"].split('.').next().unwrap())["x5t#S256"].clone())
        .collect();
    let x5t = |name| json!(BASE64URL_NOPAD.encode(&Sha256::digest(&home.certificate(name).der)));
    assert_eq!(used, [x5t("new"), x5t("old")]);
    // Any other refusal is not the certificate's fault.
    home.tenant.fail(Fault::new("/token", 400, refusal(90_002)));
    let error = wait(home.sign_in(&["new", "old"]).unwrap().token(SCOPE)).unwrap_err();
    assert!(error.to_string().contains("no tenant contoso.example"), "{error}");
    assert_eq!(home.tenant.sign_ins(), 1);
    // One that is broken does not keep the other from signing in.
    fs::write(home.dir.path().join("new"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    wait(home.sign_in(&["new", "old"]).unwrap().token(SCOPE)).unwrap();
    assert!(home.sign_in(&["new"]).is_err());
}

#[test]
fn what_passes_is_tried_again_as_the_server_asks_and_the_rest_is_not() {
    let home = Home::new(&["new"]);
    home.tenant.fail(Fault::new("/token", 429, "{}").with("Retry-After: 0"));
    home.tenant.fail(Fault::new("/token", 503, "<html>").with("Retry-After: 0"));
    wait(home.sign_in(&["new"]).unwrap().token(SCOPE)).unwrap();
    assert_eq!(home.tenant.take_asked().len(), 3);
    let assertions = |asked: &[support::tenant::Asked]| {
        asked.iter().map(|asked| asked.form["client_assertion"].clone()).collect::<std::collections::BTreeSet<_>>()
    };
    for _ in 0..3 {
        home.tenant.fail(Fault::new("/token", 0, ""));
    }
    let error = wait(home.sign_in(&["new"]).unwrap().token(SCOPE)).unwrap_err();
    assert!(matches!(error, SignInError::NoAnswer(_)) && !error.needs_a_person());
    home.tenant.fail(Fault::new("/token", 400, refusal(700_016)));
    let error = wait(home.sign_in(&["new"]).unwrap().token(SCOPE)).unwrap_err();
    let asked = home.tenant.take_asked();
    assert_eq!((asked.len(), assertions(&asked).len()), (4, 4));
    assert!(
        error.needs_a_person() && error.to_string().contains("/contoso.example/adminconsent?client_id="),
        "{error}"
    );
}

/// A token in an answer that cannot be used is in no error.
#[test]
fn faulty_answers_show_nothing_of_what_they_hold() {
    let home = Home::new(&["new"]);
    let token = "planted-token-in-a-faulty-answer";
    planted::keep_secret(token);
    for (status, body) in [
        (200, json!({"access_token": token, "token_type": "Bearer"}).to_string()),
        (200, json!({"access_token": token, "token_type": "MAC", "expires_in": 3600}).to_string()),
        (200, json!({"access_token": token, "token_type": "Bearer", "expires_in": token}).to_string()),
        (200, json!({"access_token": [token], "token_type": token, "expires_in": 3600}).to_string()),
        (200, json!({"access_token": format!("{token}\r\nX: y"), "token_type": "Bearer", "expires_in": 1}).to_string()),
        (200, json!({"error": token}).to_string()),
        (200, format!("<html>{token}</html>")),
        (200, String::new()),
        (302, format!("http://{token}/")),
        (400, format!("{{\"access_token\": \"{token}\"")),
        (400, json!({"access_token": token}).to_string()),
    ] {
        home.tenant
            .fail(Fault::new("/token", status, body.clone()).with(&format!("Location: http://127.0.0.1:1/{token}")));
        let error = wait(home.sign_in(&["new"]).unwrap().token(SCOPE)).unwrap_err();
        assert!(matches!(error, SignInError::Strange { .. }), "{body}: {error}");
        planted::look_through("the error", &format!("{error} {error:?}"));
    }
}

#[test]
fn a_certificate_that_has_ended_is_said_and_nobody_is_asked() {
    let home = Home::new(&[]);
    let long_ago = "2020-01-01T00:00:00Z".parse().unwrap();
    keys::init_entra(&home.dir.path().join("old"), None, long_ago).unwrap();
    let error = wait(home.sign_in(&["old"]).unwrap().token(SCOPE)).unwrap_err().to_string();
    assert!(
        error.contains("the certificate old ended on 2020-12-31") && error.contains("keys rotate --entra"),
        "{error}"
    );
    assert!(home.tenant.asked().is_empty());
}

#[test]
fn what_cannot_be_signed_with_is_named_without_a_word_of_it() {
    let home = Home::new(&["good", "other"]);
    let read = |name: &str| fs::read_to_string(home.dir.path().join(name)).unwrap();
    let split = |text: &str| {
        let (key, certificate) = text.split_once("-----BEGIN CERT").unwrap();
        (key.to_owned(), format!("-----BEGIN CERT{certificate}"))
    };
    let ((key, certificate), (_, foreign)) = (split(&read("good")), split(&read("other")));
    openssl(
        &["req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "k", "-out", "c", "-subj", "/CN=x"],
        home.dir.path(),
    );
    let small = read("k") + &read("c");
    openssl(
        &["req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:x", "-keyout", "k", "-out", "c", "-subj", "/CN=x"],
        home.dir.path(),
    );
    let locked = read("k") + &read("c");
    for (text, words) in [
        (key.clone(), "holds no certificate"),
        (certificate.clone(), "holds no private key"),
        (key.clone() + &foreign, "not that of its key"),
        (small, "no RSA key of 2048"),
        (locked, "passphrase"),
        (key.replace("MII", "M!I") + &certificate, "cannot be read"),
        (key.clone() + &certificate.replacen("MII", "MIA", 1), "its certificate cannot be read"),
        (String::new(), "holds no private key"),
    ] {
        let error = Certificate::parse("it", text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(words) && error.starts_with("it: "), "{words}: {error}");
    }
    // In any order, among others, with remarks, and in the older form.
    let text = format!("remark\n{foreign}{certificate}\nBag Attributes: x\n{key}");
    assert_eq!(Certificate::parse("it", text.as_bytes()).unwrap().der, home.certificate("good").der);
    let older = openssl(&["pkey", "-in", "good", "-traditional"], home.dir.path()) + &certificate;
    assert_eq!(Certificate::parse("it", older.as_bytes()).unwrap().bits, 3072);
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

/// Made, shown, handed out, rotated and retired, as an operator does it.
#[test]
fn the_verbs_for_certificates() {
    let firm = Firm::with(&Settings::default());
    let made = firm.run(&["keys", "init", "--entra", "--json"]).expect(0).json();
    assert_eq!((&made[0]["kind"], &made[0]["made"]), (&json!("entra"), &json!("new")));
    let file = firm.path("entra-certificate");
    assert_eq!(mode(&file), 0o600);
    let text = fs::read(&file).unwrap();
    assert!(firm.run(&["keys", "init", "--entra"]).expect(0).out.contains("kept as it is"));
    assert_eq!(fs::read(&file).unwrap(), text);
    assert_eq!(firm.run(&["keys", "init", "--entra", "--rsa"]).code, 2);

    let shown = firm.run(&["keys", "show", "--json"]).expect(0).json();
    let certificate = &shown["entra"][0];
    let listed =
        openssl(&["x509", "-in", file.to_str().unwrap(), "-noout", "-fingerprint", "-sha256"], firm.dir.path());
    let listed = listed.trim().rsplit('=').next().unwrap().replace(':', "");
    assert_eq!((certificate["thumbprint"].as_str().unwrap(), &certificate["bits"]), (listed.as_str(), &json!(3072)));
    assert!(shown["unused"].as_array().unwrap().is_empty(), "{shown}");
    let sha1 = openssl(&["x509", "-in", file.to_str().unwrap(), "-noout", "-fingerprint", "-sha1"], firm.dir.path());
    let sha1 = sha1.trim().rsplit('=').next().unwrap().replace(':', "");
    let text_of_show = firm.run(&["keys", "show"]).expect(0).out;
    assert!(text_of_show.contains(&listed) && text_of_show.contains(&sha1), "{text_of_show}");
    assert_eq!(certificate["sha1_thumbprint"], json!(sha1), "the one that the portal shows");
    let lasts = |key: &str| certificate[key].as_str().unwrap().parse::<Timestamp>().unwrap().as_second();
    assert_eq!((lasts("expires") - lasts("begins")) / 86_400, 365);

    // Without the section a name could be written nowhere.
    assert_eq!(firm.run(&["keys", "rotate", "--entra"]).code, 78);
    firm.configure(&Settings { more: Tenant::start().entra(), ..Settings::default() });
    let handed = firm.path("handouts");
    let exported = |firm: &Firm| firm.run(&["keys", "export", handed.to_str().unwrap()]).expect(0);
    exported(&firm);
    let cer = openssl(
        &["x509", "-inform", "DER", "-in", "handouts/entra-certificate.cer", "-noout", "-subject"],
        firm.dir.path(),
    );
    assert!(cer.contains("icechatd"), "{cer}");
    let credentials =
        || -> Value { serde_json::from_slice(&fs::read(handed.join("entra-key-credentials.json")).unwrap()).unwrap() };
    let one = &credentials()["keyCredentials"][0];
    assert_eq!((&one["type"], &one["usage"]), (&json!("AsymmetricX509Cert"), &json!("Verify")));
    let key = BASE64.decode(one["key"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(key, fs::read(handed.join("entra-certificate.cer")).unwrap());

    firm.run(&["keys", "rotate", "--entra"]).expect(0);
    let config = fs::read_to_string(firm.path("config.toml")).unwrap();
    assert!(config.contains("certificate = [\"entra-certificate-2\", \"entra-certificate\"]"), "{config}");
    assert_eq!((mode(&firm.path("entra-certificate-2")), fs::read(&file).unwrap()), (0o600, text));
    exported(&firm);
    let both = credentials()["keyCredentials"].as_array().unwrap().clone();
    assert_eq!((both.len(), &both[1]["key"]), (2, &one["key"]), "a PATCH replaces what is registered: both are in it");
    let newest = fs::read(handed.join("entra-certificate.cer")).unwrap();
    assert_eq!(BASE64.decode(both[0]["key"].as_str().unwrap().as_bytes()).unwrap(), newest);

    let said = firm.run(&["keys", "retire", "entra-certificate"]).expect(0);
    assert!(said.out.contains("remove its certificate at the app registration"), "{said:?}");
    assert!(firm.run(&["keys", "retire", "entra-certificate-2"]).expect(1).err.contains("keys rotate --entra"));
    let unused = firm.run(&["keys", "show", "--json"]).expect(0).json()["unused"].clone();
    assert_eq!((&unused[0]["kind"], &unused[0]["fingerprint"]), (&json!("entra"), &json!(listed)));
    planted::keep_secrets_of(firm.dir.path());
    for file in fs::read_dir(&handed).unwrap() {
        planted::look_through("a hand-out", &String::from_utf8_lossy(&fs::read(file.unwrap().path()).unwrap()));
    }
}

#[test]
fn endpoints_without_tls_are_on_this_machine_alone() {
    let firm = Firm::with(&Settings::default());
    let section = |lines: &str| {
        let more = format!("[entra]\ntenant = \"contoso.com\"\nclient_id = \"{CLIENT}\"\n{lines}\n");
        firm.configure(&Settings { more, ..Settings::default() });
        firm.run(&["status"])
    };
    for good in ["https://login.microsoftonline.us", "http://127.0.0.1:8080", "http://localhost", "https://[::1]:44/"] {
        section(&format!("authority = \"{good}\"")).expect(0);
    }
    for bad in [
        "http://login.microsoftonline.com",
        "http://127.0.0.1.example",
        "https://a/b",
        "ftp://a",
        "a",
        "https://a?b",
        "https://u@a",
        "https://",
    ] {
        let said: Said = section(&format!("graph = \"{bad}\"")).expect(78);
        assert!(said.err.contains("entra.graph"), "{said:?}");
    }
    assert!(section("certificate = []").expect(78).err.contains("entra.certificate: no certificate"));
}

#[test]
fn what_graph_is_asked_for_is_checked_where_it_stands() {
    let firm = Firm::with(&Settings::default());
    let said = |graph: &str, more: &str| {
        let mailboxes = format!("domains = [\"contoso.com\"]\n{graph}\n");
        firm.configure(&Settings { mailboxes, more: more.to_owned(), ..Settings::default() });
        firm.run(&["status"])
    };
    let entra = format!("[entra]\ntenant = \"contoso.com\"\nclient_id = \"{CLIENT}\"\n");
    for good in [
        "graph = true",
        "graph = false",
        "graph = { max_age = \"12h\" }",
        "[mailboxes.graph]",
        "[mailboxes.graph]\nim_id_attribute = \"extension_0a1b_imId\"",
        "graph = { im_id_attribute = \"employeeId\" }",
    ] {
        said(good, &entra).expect(0);
    }
    for (bad, words) in [
        ("graph = 1", "true or false"),
        ("graph = { nonsense = 1 }", "unknown key"),
        ("graph = { max_age = \"1h\" }", "twelve hours"),
        ("graph = { im_id_attribute = \"a,mail\" }", "no property of a user"),
        ("graph = { im_id_attribute = \"a.b.c\" }", "no property of a user"),
        ("graph = { im_id_attribute = \"a&$filter\" }", "no property of a user"),
    ] {
        let said = said(bad, &entra).expect(78);
        assert!(said.err.contains("mailboxes.graph: ") && said.err.contains(words), "{said:?}");
    }
    let alone = said("graph = true", "").expect(78);
    assert!(alone.err.contains("needs a section [entra]") && alone.err.contains("docs/entra.md"), "{alone:?}");
    for (line, words) in [("tenant = \"common\"", "names no tenant"), ("client_id = \"app\"", "no application ID")] {
        let key = line.split(' ').next().unwrap();
        let kept: Vec<&str> = entra.lines().filter(|kept| !kept.starts_with(key)).collect();
        let said = said("", &format!("{}\n{line}\n", kept.join("\n"))).expect(78);
        assert!(said.err.contains(&format!("entra.{key}: {words}")), "{said:?}");
    }
}
