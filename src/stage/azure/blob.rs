//! One blob: how an EML is put there, and how what stands there is told from what was meant to.

use std::num::NonZero;
use std::sync::Arc;

use azure_core::Bytes;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{ClientMethodOptions, Context, Request};
use azure_core::time::OffsetDateTime;
use azure_storage_blob::BlobContainerClient;
use azure_storage_blob::models::{
    BlobClientGetPropertiesResultHeaders, BlobClientUploadOptions, BlockBlobClientCommitBlockListOptions,
    BlockLookupList, ImmutabilityPolicyMode,
};
use data_encoding::BASE64;

use super::refusal::{is_absent, is_there};
use super::sign_in::nothing_follows;

/// The metadata that holds the SHA-256 of an EML.
pub(super) const SHA256: &str = "sha256";
/// The metadata that holds the item id.
const ITEM: &str = "item";
/// Every EML goes in one request, of which the service takes 5000 MiB, so that it is there whole or not at all.
const ONE_REQUEST: NonZero<u64> = NonZero::<u64>::MAX;

/// An EML on its way.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub name: String,
    pub bytes: Bytes,
    pub md5: [u8; 16],
    /// Hexadecimal.
    pub sha256: String,
    pub item: String,
    pub immutability: Option<(OffsetDateTime, ImmutabilityPolicyMode)>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Placed,
    /// It stood there already.
    Stood,
    /// Something else stands there.
    Other,
}

/// What the service says of a blob.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Properties {
    pub len: u64,
    /// Of its bytes, where the service knows it.
    pub md5: Option<Vec<u8>>,
    /// As it was recorded when the blob was placed, hexadecimal.
    pub sha256: Option<String>,
}

impl Properties {
    fn is(&self, upload: &Upload) -> bool {
        self.sha256.as_deref() == Some(upload.sha256.as_str())
            && self.len == upload.bytes.len() as u64
            && self.md5.as_deref().is_none_or(|md5| md5 == upload.md5)
    }
}

/// The digest of what one request carries, by which the service sees that it came unaltered.
struct ContentMd5(String);

/// Sends it. The SDK's uploads only record a digest, which the service does not compare.
#[derive(Debug)]
pub(super) struct AddMd5;

#[async_trait::async_trait]
impl Policy for AddMd5 {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        if let Some(ContentMd5(digest)) = ctx.value() {
            request.insert_header("content-md5", digest.clone());
        }
        let [first, rest @ ..] = next else { return Err(nothing_follows()) };
        first.send(ctx, request, rest).await
    }
}

/// Puts an EML there, if nothing stands under its name. A try whose answer got lost may have put it there: so what stands
/// is compared, by the digests that were recorded with it and by the service's own.
pub(super) async fn put(container: &BlobContainerClient, upload: &Upload) -> azure_core::Result<Put> {
    let blob = container.blob_client(&upload.name);
    for is_last in [false, true] {
        let error = match blob.upload(upload.bytes.clone().into(), Some(options(upload).if_not_exists())).await {
            Ok(done) if done.content_md5.as_deref().is_none_or(|md5| md5 == upload.md5) => return Ok(Put::Placed),
            Ok(_) => {
                let what = "the service has recorded another MD5 than was sent; compare the blob, and remove it if it is \
                            damaged";
                return Err(Error::with_message(ErrorKind::DataConversion, what));
            }
            Err(error) => error,
        };
        if !is_there(&error) {
            return Err(error);
        }
        match properties(container, &upload.name).await? {
            Some(found) if found.is(upload) => return Ok(Put::Stood),
            Some(_) => return Ok(Put::Other),
            // The importer took what stood there in between.
            None if is_last => return Err(error),
            None => {}
        }
    }
    Err(Error::with_message(ErrorKind::Other, "a blob that comes and goes"))
}

/// What goes with an EML.
fn options(upload: &Upload) -> BlobClientUploadOptions<'_> {
    let context = Context::new().with_value(ContentMd5(BASE64.encode(&upload.md5)));
    let metadata = [(SHA256, &upload.sha256), (ITEM, &upload.item)];
    let (until, mode) = upload.immutability.unzip();
    BlobClientUploadOptions {
        blob_content_md5: Some(upload.md5.to_vec()),
        blob_content_type: Some("message/rfc822".to_owned()),
        immutability_policy_expiry: until,
        immutability_policy_mode: mode,
        metadata: Some(metadata.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()),
        method_options: ClientMethodOptions { context },
        partition_size: Some(ONE_REQUEST),
        ..BlobClientUploadOptions::default()
    }
}

/// What the service says of a blob; none where there is none.
pub(super) async fn properties(container: &BlobContainerClient, name: &str) -> azure_core::Result<Option<Properties>> {
    let found = match container.blob_client(name).get_properties(None).await {
        Err(error) if is_absent(&error) => return Ok(None),
        found => found?,
    };
    let metadata = found.metadata()?;
    let sha256 = metadata.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(SHA256)).map(|(_, value)| value);
    Ok(Some(Properties { len: found.content_length()?.unwrap_or_default(), md5: found.content_md5()?, sha256 }))
}

/// Writes a small blob of the program's own; false where one stands there and is not to be replaced.
pub(super) async fn write(
    container: &BlobContainerClient,
    name: &str,
    bytes: Bytes,
    replace: bool,
) -> azure_core::Result<bool> {
    let options = BlobClientUploadOptions {
        blob_content_type: Some("text/plain; charset=utf-8".to_owned()),
        ..BlobClientUploadOptions::default()
    };
    let options = if replace { options } else { options.if_not_exists() };
    match container.blob_client(name).upload(bytes.into(), Some(options)).await {
        Ok(_) => Ok(true),
        Err(error) if !replace && is_there(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// All ids of a blob's pieces have the same length.
fn piece_id(piece: usize) -> Vec<u8> {
    format!("{piece:08}").into_bytes()
}

pub(super) async fn stage_piece(
    container: &BlobContainerClient,
    name: &str,
    piece: usize,
    bytes: Bytes,
) -> azure_core::Result<()> {
    let blob = container.blob_client(name).block_blob_client();
    blob.stage_block(&piece_id(piece), bytes.len() as u64, bytes.into(), None).await.map(drop)
}

pub(super) async fn commit_pieces(
    container: &BlobContainerClient,
    name: &str,
    pieces: usize,
) -> azure_core::Result<()> {
    let blob = container.blob_client(name).block_blob_client();
    let blocks = BlockLookupList { latest: Some((0..pieces).map(piece_id).collect()), ..BlockLookupList::default() };
    let options = BlockBlobClientCommitBlockListOptions {
        blob_content_type: Some("application/x-ndjson".to_owned()),
        ..BlockBlobClientCommitBlockListOptions::default()
    };
    blob.commit_block_list(blocks.try_into()?, Some(options)).await.map(drop)
}
