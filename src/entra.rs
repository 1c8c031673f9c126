//! App-only sign-in to Microsoft Entra: a token for this program itself, for which nobody is asked anything.
//!
//! The program proves who it is by a short statement (a *client assertion*, RFC 7523) that it signs with the key of a
//! certificate; the tenant knows the certificate's public part. The key never leaves this machine, and no secret is sent.
//! Tokens live in memory alone, as long as they last, and are wiped when dropped; neither they nor assertions stand in
//! any error or log.
//!
//! [`SignIn`] is asynchronous, for those who own a runtime: `directory` and, through [`azure`], the staging of blobs.

mod assertion;
pub mod azure;
mod certificate;
mod fault;
mod sign_in;
mod token;
mod web;

pub use self::certificate::{Certificate, CertificateError};
pub use self::fault::{Refusal, SignInError, tame};
pub use self::sign_in::SignIn;
pub use self::token::Token;
pub use self::web::{Answer, NoAnswer, Web};
