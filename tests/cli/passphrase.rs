//! A root key that comes from a passphrase, through the served vault; and what production refuses.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Command,
};

use vault_tests::certificates::Authority;

use crate::{
    served::Served,
    shell::{DevVault, Ended, LOAD, SETTLE, run, tokenvault},
};

const PASSPHRASE: &str = "lantern orbit velvet cactus";

/// The folder of a development vault that has identities and configuration, but a passphrase in place of a root key and
/// no store yet.
struct Place {
    vault: DevVault,
}

impl Place {
    fn new() -> Self {
        let mut vault = DevVault::start();
        assert_eq!(vault.stop(), Some(0));
        let place = Self { vault };
        for folder in ["vault-data", "vault-data-checkpoints"] {
            fs::remove_dir_all(place.file(folder)).unwrap();
        }
        fs::remove_file(place.file("root.key")).unwrap();
        place.write_passphrase(PASSPHRASE);
        place.configure(|text| text.replace("\"file\"", "\"passphrase\"").replace("root.key", "passphrase"));
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.vault.place().join(name)
    }

    fn write_passphrase(&self, text: &str) {
        fs::write(self.file("passphrase"), text).unwrap();
        fs::set_permissions(self.file("passphrase"), Permissions::from_mode(0o600)).unwrap();
    }

    fn configure(&self, change: impl FnOnce(String) -> String) {
        let config = self.file("vault.toml");
        let text = fs::read_to_string(&config).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text);
        fs::write(&config, changed).unwrap();
    }

    fn about(&self, words: &[&str]) -> Command {
        let mut command = tokenvault(words);
        command.arg("--config").arg(self.file("vault.toml")).env("TOKENVAULT_LISTEN_ADDRESS", "127.0.0.1:0");
        command
    }

    /// `serve`, which has to end by itself, and never repeats a passphrase.
    fn refused(&self) -> Ended {
        let ended = run(&mut self.about(&["serve"]), "");
        assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
        assert!(!ended.err.contains("lantern") && ended.out.is_empty(), "{ended:?}");
        ended
    }

    fn serve(&self) -> Served {
        Served::start(self.about(&["serve"]))
    }
}

fn tokenize(place: &Place, served: &Served, value: &str) -> String {
    let line = format!("tokenize --class email {LOAD}");
    let given = run(&mut served.command(&place.vault, "loader", &line), value).with(0).lines();
    given.first().unwrap().get("token").unwrap().as_str().unwrap().to_owned()
}

fn reveal(place: &Place, served: &Served, token: &str) -> String {
    let line = format!("detokenize --class email {SETTLE}");
    let given = run(&mut served.command(&place.vault, "payments", &line), token).with(0).lines();
    given.first().unwrap().get("value").unwrap().as_str().unwrap().to_owned()
}

#[test]
fn a_vault_under_a_passphrase_serves_and_opens_again_with_it_alone() {
    let place = Place::new();
    let checked = run(&mut place.about(&["config", "check", "--output", "jsonl"]), "").with(0);
    assert!(checked.out.contains("the first start fixes the passphrase"), "{}", checked.out);
    assert!(checked.out.contains("whoever knows that and reads the disk has every key"), "{}", checked.out);
    assert!(!place.file("vault-data").exists(), "a check makes nothing");

    let served = place.serve();
    let token = tokenize(&place, &served, "ada@example.com");
    served.stop();
    let parameters = fs::read(place.file("vault-data/root-key.toml")).unwrap();

    // The line end of an editor does not count, and the variable stands for the file.
    place.write_passphrase(&format!("{PASSPHRASE}\n"));
    let served = place.serve();
    assert_eq!(reveal(&place, &served, &token), "ada@example.com");
    served.stop();

    place.write_passphrase("lantern orbit velvet cactuses");
    let ended = place.refused();
    assert!(ended.err.contains("the passphrase is not the one that this vault was made with"), "{}", ended.err);
    let checked = run(&mut place.about(&["config", "check", "--output", "jsonl"]), "").with(2);
    assert!(checked.out.contains("is not the one"), "{}", checked.out);
    assert_eq!(fs::read(place.file("vault-data/root-key.toml")).unwrap(), parameters);

    place.configure(|text| text.replace("path = \"passphrase\"\n", ""));
    let mut command = place.about(&["serve"]);
    command.env("TOKENVAULT_ROOT_KEY_PASSPHRASE", PASSPHRASE);
    let served = Served::start(command);
    assert_eq!(reveal(&place, &served, &token), "ada@example.com");
    served.stop();
}

#[test]
fn a_passphrase_never_begins_a_second_vault_beside_the_first() {
    let place = Place::new();
    let served = place.serve();
    let token = tokenize(&place, &served, "ada@example.com");
    served.stop();

    // A new region first, and a wrong passphrase: nothing of the region may be made under it.
    fs::remove_dir_all(place.file("vault-data/us")).unwrap();
    fs::remove_file(place.file("vault-data-checkpoints/us.checkpoint")).ok();
    place.configure(|text| text.replace("[\"eu\", \"us\"]", "[\"us\", \"eu\"]"));
    place.write_passphrase("quite another passphrase");
    assert!(place.refused().err.contains("is not the one"));
    assert!(!place.file("vault-data/us").exists());

    // Without its parameters, no passphrase opens the stores; new ones are not made for them.
    let parameters = place.file("vault-data/root-key.toml");
    let kept = place.file("kept.toml");
    fs::rename(&parameters, &kept).unwrap();
    place.write_passphrase(PASSPHRASE);
    let ended = place.refused();
    assert!(ended.err.contains("put that file back from a backup"), "{}", ended.err);
    assert!(!parameters.exists());
    fs::copy(&kept, &parameters).unwrap();
    fs::set_permissions(&parameters, Permissions::from_mode(0o644)).unwrap();
    assert!(place.refused().err.contains("0644"));
    fs::set_permissions(&parameters, Permissions::from_mode(0o600)).unwrap();
    let served = place.serve();
    assert_eq!(reveal(&place, &served, &token), "ada@example.com");
    served.stop();
}

#[test]
fn a_passphrase_that_others_can_read_or_guess_is_refused() {
    let place = Place::new();
    let path = place.file("passphrase");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let ended = place.refused();
    assert!(ended.err.contains("0640") && ended.err.contains("chmod 600"), "{}", ended.err);
    for (text, said) in [("", "is empty"), ("\n", "is empty"), ("lantern orbit\n", "fewer than 15 characters")] {
        place.write_passphrase(text);
        let ended = place.refused();
        assert!(ended.err.contains(said), "{}", ended.err);
    }
    place.write_passphrase(PASSPHRASE);
    let both = run(place.about(&["serve"]).env("TOKENVAULT_ROOT_KEY_PASSPHRASE", PASSPHRASE), "").with(2);
    assert!(both.err.contains("take one away") && !both.err.contains("lantern"), "{}", both.err);
    place.configure(|text| text.replace("path = \"passphrase\"\n", ""));
    assert!(place.refused().with(2).err.contains("TOKENVAULT_ROOT_KEY_PASSPHRASE"));
    let short = run(place.about(&["serve"]).env("TOKENVAULT_ROOT_KEY_PASSPHRASE", "lantern orbit"), "").with(2);
    assert!(short.err.contains("fewer than 15") && !short.err.contains("lantern"), "{}", short.err);
    assert!(!place.file("vault-data").exists());
}

#[test]
fn production_refuses_one_custodian_and_every_certificate_of_the_throwaway_authority() {
    let place = Place::new();
    place.configure(|text| text.replace("mode = \"dev\"", "mode = \"production\""));
    let refusals = |place: &Place| {
        let checked = run(&mut place.about(&["config", "check", "--output", "jsonl"]), "").with(2);
        let finding = checked.lines()[0]["finding"].as_str().unwrap().to_owned();
        assert!(place.refused().with(2).err.contains(&finding));
        finding
    };
    let finding = refusals(&place);
    for said in ["PCI DSS 3.7.6", "one passphrase", "server.pem was made by `tokenvault dev`", "ca.pem was made by"] {
        assert!(finding.contains(said), "{said}: {finding}");
    }
    place.configure(|text| text.replace("\"passphrase\"\npath = \"passphrase\"", "\"file\"\npath = \"root.key\""));
    assert!(refusals(&place).contains("lies in a file"));

    // Certificates of an authority of one's own are not what keeps it from serving.
    let authority = Authority::new("an authority of one's own");
    let server = authority.server();
    let dev_certificate = fs::read(place.file("server.pem")).unwrap();
    fs::write(place.file("server.pem"), server.certificate_pem()).unwrap();
    fs::write(place.file("server.key"), server.key_pem()).unwrap();
    let finding = refusals(&place);
    assert!(!finding.contains("server.pem") && finding.contains("ca.pem was made by"), "{finding}");
    let dev_ca = fs::read_to_string(place.file("ca.pem")).unwrap();
    fs::write(place.file("ca.pem"), authority.certificate_pem()).unwrap();
    let finding = refusals(&place);
    assert!(finding.contains("PCI DSS") && !finding.contains("tokenvault dev"), "{finding}");
    // One marked certificate in a bundle, and one behind the leaf of a chain, are enough.
    fs::write(place.file("ca.pem"), format!("{}{dev_ca}", authority.certificate_pem())).unwrap();
    assert!(refusals(&place).contains("ca.pem was made by"));
    let chain = [server.certificate_pem().as_bytes(), &dev_certificate].concat();
    fs::write(place.file("server.pem"), chain).unwrap();
    assert!(refusals(&place).contains("server.pem was made by"));
}
