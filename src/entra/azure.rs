//! The sign-in as the credential that Microsoft's Rust libraries take. Alone knows their core library here.

use azure_core::Result;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind};
use azure_core::time::OffsetDateTime;

use super::{SignIn, SignInError};

#[async_trait::async_trait]
impl TokenCredential for SignIn {
    /// A token for the one scope that is asked for (`https://storage.azure.com/.default`), the cached one while it lasts.
    /// How often and how long the tenant is asked is the sign-in's to decide, so `options` say nothing here.
    async fn get_token(&self, scopes: &[&str], _options: Option<TokenRequestOptions<'_>>) -> Result<AccessToken> {
        let token = self.token(&scopes.join(" ")).await.map_err(refused)?;
        let ends = OffsetDateTime::from_unix_timestamp(token.ends.as_second());
        let ends = ends.map_err(|error| Error::new(ErrorKind::Credential, error))?;
        Ok(AccessToken::new(token.expose().to_owned(), ends))
    }
}

fn refused(error: SignInError) -> Error {
    Error::new(ErrorKind::Credential, error)
}
