//! Who may do what, and what nobody gets to see.

mod access_token;
mod client_credentials;
mod deny_list;
mod grants;
mod hopping;
mod identity_provider;
mod isolation;
mod issuer_keys;
mod levels;
mod opacity;
mod principals;
mod proof_of_possession;
mod race;
mod residency;
mod secrecy;
mod smuggling;
mod timing;
