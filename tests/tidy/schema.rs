//! docs/schema holds the JSON Schemas of configurations and catalogs as the code has them, and every configuration and
//! catalog of the tree fits its own.
//!
//! `make docs` writes them.

use crate::tree::{File, Tree};

/// A schema, and how its documents are told from other TOML files: by keys at their top.
struct Document {
    path: &'static str,
    schema: fn() -> serde_json::Value,
    told_by: &'static [&'static str],
}

const CONFIGURATION: Document = Document {
    path: "docs/schema/configuration.schema.json",
    schema: vault_server::configuration_schema,
    told_by: &["data_directory", "root_key"],
};
const CATALOG: Document = Document {
    path: "docs/schema/catalog.schema.json",
    schema: vault_catalog::catalog_schema,
    told_by: &["tenants", "classes", "accounts"],
};

impl Document {
    /// The file's text.
    fn render(&self) -> String {
        format!("{:#}\n", (self.schema)())
    }

    /// What is wrong with the file on the disk. The order of its keys means nothing.
    fn copy(&self, tree: &Tree) -> Vec<String> {
        let written = tree.file(self.path).ok().and_then(|file| serde_json::from_str(&file.text).ok());
        let is_current = written.is_some_and(|written: serde_json::Value| written == (self.schema)());
        if is_current { Vec::new() } else { vec![format!("{}: differs from the code; run `make docs`", self.path)] }
    }

    fn is_told(&self, document: &serde_json::Value) -> bool {
        self.told_by.iter().any(|key| document.get(key).is_some())
    }

    /// What in a document does not fit the schema.
    fn misfits(&self, path: &str, document: &serde_json::Value) -> Result<Vec<String>, String> {
        let validator = jsonschema::draft202012::new(&(self.schema)()).map_err(|error| error.to_string())?;
        let misfit = |error: jsonschema::ValidationError<'_>| format!("{path}: {}: {error}", error.instance_path());
        Ok(validator.iter_errors(document).map(misfit).collect())
    }
}

/// A TOML text as JSON.
fn read(file: &File) -> Result<serde_json::Value, String> {
    toml::from_str(&file.text).map_err(|error| format!("{}: {error}", file.path))
}

/// Checks every document of one kind in the tree; gives their number too.
fn documents(tree: &Tree, kind: &Document) -> Result<(usize, Vec<String>), String> {
    let mut found = 0;
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| file.extension() == "toml") {
        let document = read(file)?;
        if kind.is_told(&document) {
            found += 1;
            faults.extend(kind.misfits(&file.path, &document)?);
        }
    }
    Ok((found, faults))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use vault_catalog::Catalog;
    use vault_server::{Config, Environment};

    use super::*;
    use crate::tree::{assert_none, root, updates};

    const SAMPLE: &str = include_str!("../../crates/vault-server/sample/vault.toml");

    #[test]
    fn the_schemas_are_those_of_the_code() {
        for document in [CONFIGURATION, CATALOG] {
            if updates("1") && !document.copy(&Tree::read().unwrap()).is_empty() {
                fs::create_dir_all(root().join("docs/schema")).unwrap();
                fs::write(root().join(document.path), document.render()).unwrap();
            }
            assert_none(&document.copy(&Tree::read().unwrap()));
            assert_eq!(document.copy(&Tree::of(&[(document.path, "{}\n")])).len(), 1);
            assert_eq!(document.copy(&Tree::of(&[])).len(), 1);
        }
    }

    #[test]
    fn the_schemas_are_schemas_of_draft_2020_12() {
        for document in [CONFIGURATION, CATALOG] {
            let schema = (document.schema)();
            assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
            assert!(jsonschema::draft202012::meta::is_valid(&schema), "{}", document.path);
        }
    }

    #[test]
    fn every_configuration_and_catalog_of_the_tree_fits_its_schema() {
        let tree = Tree::read().unwrap();
        for (document, least) in [(CONFIGURATION, 1), (CATALOG, 2)] {
            let (found, faults) = documents(&tree, &document).unwrap();
            assert_none(&faults);
            assert!(found >= least, "{}: {found} documents", document.path);
        }
    }

    /// Whether the vault takes a configuration, and whether the schema does.
    fn configuration(text: &str) -> (bool, bool) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let taken = Config::load(file.path(), &Environment::default()).is_ok();
        let document = toml::from_str(text).unwrap();
        (taken, CONFIGURATION.misfits("", &document).unwrap().is_empty())
    }

    /// The same of a catalog.
    fn catalog(text: &str) -> (bool, bool) {
        let document = toml::from_str(text).unwrap();
        (Catalog::parse(text).is_ok(), CATALOG.misfits("", &document).unwrap().is_empty())
    }

    fn changed(text: &str, from: &str, to: &str) -> String {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        changed
    }

    #[test]
    fn what_the_vault_refuses_in_a_configuration_the_schema_refuses_too() {
        assert_eq!(configuration(SAMPLE), (true, true));
        for (from, to) in [
            ("data_directory =", "data_dirctory ="),
            ("[listen]", "[lisen]"),
            ("cache_bytes =", "cache_byte ="),
            ("mode = \"dev\"", "mode = \"prod\""),
            ("mode = \"dev\"", "mode = true"),
            ("vault.example.org", "Vault.Example.Org"),
            ("vault.example.org", ".example.org"),
            ("node-1", "node_1"),
            ("[\"eu\", \"us\"]", "\"eu\""),
            ("[\"eu\", \"us\"]", "[]"),
            ("[\"eu\", \"us\"]", "[\"eu\", \"eu\"]"),
            ("[\"eu\", \"us\"]", "[\"eu\", \"node\"]"),
            ("[\"eu\", \"us\"]", "[\"eu\", \"u-s\"]"),
            (
                "[\"eu\", \"us\"]",
                // Seventeen.
                "['a','b','c','d','e','f','g','h','i','j','k','l','m','n','o','p','q']",
            ),
            ("\"127.0.0.1:8443\"", "\"localhost:8443\""),
            ("\"127.0.0.1:8443\"", "\"127.0.0.1\""),
            ("\"127.0.0.1:8443\"", "8443"),
            ("[\"clients.pem\"]", "[]"),
            ("[\"clients.pem\"]", "\"clients.pem\""),
            ("\"server.pem\"", "\"\""),
            ("\"file\"", "\"vault\""),
            ("536870912", "1048575"),
            ("536870912", "1099511627777"),
            ("536870912", "\"512 MiB\""),
            ("536870912", "5.5"),
            ("ballast_bytes = 268435456", "ballast_bytes = -1"),
            ("\"info\"", "\"INFO\""),
            ("\"json\"", "\"xml\""),
            ("connection_seconds_max = 3600", "connection_seconds_max = 0"),
            ("\"127.0.0.1:9443\"", "9443"),
            ("[\"clients.crl\"]", "\"clients.crl\""),
            ("reload_seconds = 5", "reload_seconds = \"5\""),
            ("[\"example.org\"]", "[\"Example.org\"]"),
            ("dns_principals = \"on\"", "dns_principals = true"),
        ] {
            assert_eq!(configuration(&changed(SAMPLE, from, to)), (false, false), "{from} -> {to}");
        }
        for (from, to) in [
            ("536870912", "1048576"),
            ("ballast_bytes = 268435456", "ballast_bytes = 0"),
            ("\"127.0.0.1:8443\"", "\"[::1]:0\""),
            ("[\"own.cedar\"]", "[]"),
            ("[\"example.org\"]", "[]"),
            ("[\"clients.crl\"]", "[]"),
        ] {
            assert_eq!(configuration(&changed(SAMPLE, from, to)), (true, true), "{from} -> {to}");
        }
    }

    #[test]
    fn what_the_vault_refuses_in_a_catalog_the_schema_refuses_too() {
        let sample = vault_catalog::SAMPLE;
        assert_eq!(catalog(sample), (true, true));
        let class = |keys: &str| format!("{sample}\n[classes.x]\n{keys}\n");
        let account = |keys: &str| format!("{sample}\n[accounts.\"dns:a.example\"]\n{keys}\n");
        let own = "tenant = \"acme\"\nregions = [\"eu\"]\naudiences = [\"payments\"]";
        let grant = |grant: &str| account(&format!("{own}\ngrants = [{grant}]"));
        let endpoint = "https://vault-apac.example.com:8443";
        for bad in [
            format!("{sample}\n[clases.x]\n"),
            format!("{sample}\n[tenants.Acme]\n"),
            format!("{sample}\n[regions.node]\n"),
            format!("{sample}\n[regions.eu-west]\n"),
            format!("{sample}\n[audiences.x]\nmembers = []\n"),
            changed(sample, endpoint, "http://vault-apac.example.com:8443"),
            changed(sample, endpoint, "https://vault-apac.example.com/path"),
            class(""),
            class("rule = \"pam\""),
            class("rule = 3"),
            class("rule = \"pan\"\nformt = \"opaque\""),
            class("rule = \"pan\"\nformat = \"hash\""),
            class("rule = \"pan\"\nformat = \"format_preserving\"\nluhn = \"no\""),
            class("rule = \"pan\"\nformat = \"format_preserving\"\nkeep_last = -1"),
            class("rule = \"phone\"\nformat = \"format_preserving\"\nrange = \"some\""),
            class("rule = \"pan\"\npattern = \"x\""),
            class("rule = \"iban\"\nhyphens = \"optional\""),
            class("rule = \"us_ssn\"\nhyphens = \"no\""),
            class("rule = \"text\""),
            class("rule = \"text\"\nlength_bytes_max = 0"),
            class("rule = \"text\"\nlength_bytes_max = 65537"),
            class("rule = \"text\"\nlength_bytes_max = \"9\""),
            class("rule = \"text\"\nlength_bytes_max = 9\ncontrols = \"some\""),
            class("rule = \"digits\"\ndigits_min = 5"),
            class("rule = \"pattern\"\nlength_bytes_max = 5"),
            class("rule = \"pattern\"\nlength_bytes_max = 5\npattern = \"\""),
            class("rule = \"date\"\nyear_min = 1582\nyear_max = 2000"),
            class("rule = \"date\"\nyear_min = 2000\nyear_max = 10000"),
            class("rule = \"pan\"\ndeterminism = \"per_person\""),
            class("rule = \"pan\"\nttl_seconds_default = 0"),
            class("rule = \"pan\"\nttl_seconds_max = 3153600001"),
            class("rule = \"pan\"\npurpose_required = \"yes\""),
            format!("{sample}\n[accounts.loader]\n{own}\n"),
            format!("{sample}\n[accounts.\"dns:A.example\"]\n{own}\n"),
            account("regions = [\"eu\"]"),
            account("tenant = \"acme\""),
            account("tenant = \"acme\"\nregions = []"),
            account("tenant = \"acme\"\nregions = [\"eu\", \"eu\"]"),
            account(&format!("{own}\nroles = []")),
            grant("{ classes = [\"email\"] }"),
            grant("{ actions = [] }"),
            grant("{ actions = [\"reveal\"], classes = [\"email\"] }"),
            grant("{ actions = [\"tokenize\"], classes = [] }"),
            grant("{ actions = [\"tokenize\"], classes = \"email\" }"),
            grant("{ actions = [\"tokenize\"], class = [\"email\"] }"),
        ] {
            assert_eq!(catalog(&bad), (false, false), "{}", &bad[sample.len().min(bad.len())..]);
        }
        for good in [
            class("rule = \"text\"\nlength_bytes_max = 65536\nlength_chars_min = 1\ncontrols = \"any\""),
            class("rule = \"us_ssn\"\nhyphens = \"forbidden\"\nttl_seconds_max = 3153600000"),
            class("rule = \"iban\"\nformat = \"ff1\"\nalphabet = \"alphanumeric\"\nkeep_first = 2"),
            grant("{ actions = [\"tokenize\", \"detokenize\"], classes = [\"email\"] }"),
            account("tenant = \"acme\"\nregions = [\"eu\"]"),
        ] {
            assert_eq!(catalog(&good), (true, true), "{}", &good[sample.len()..]);
        }
    }
}
