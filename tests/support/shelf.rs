//! The SFTP side of a scripted site, packet by packet: libraries refuse to send what a lying site sends.

use std::time::Duration;

use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelStream, Disconnect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::lies::{Dice, Lie, State};
use super::packets::*;
use super::rack::{Filed, Removed, Shared};
use super::scripted::Script;

/// Each flood, in packets: much more than any buffer holds that there should be.
const FLOOD: usize = 400;

/// What becomes of a conversation after a reply.
enum Next {
    GoOn,
    End,
}

/// One client's sftp channel.
#[expect(missing_docs, reason = "what a connection has")]
pub struct Shelf<'a> {
    pub script: &'a Script,
    pub shared: &'a Shared,
    pub stream: ChannelStream<Msg>,
    pub handle: Handle,
    pub channel: ChannelId,
    pub listed: bool,
    /// Of a listing that has no end, the names.
    pub endless: Option<Lie>,
}

impl Shelf<'_> {
    /// Answers until the client leaves, or the site does.
    pub async fn serve(mut self) {
        while let Ok(length) = self.stream.read_u32().await {
            let mut bytes = vec![0; length.min(1 << 18) as usize];
            if self.stream.read_exact(&mut bytes).await.is_err() {
                return;
            }
            let (state, name, reply) = self.honest(&bytes);
            let lie = state.and_then(|state| self.shared.liar().at(state));
            let next = match (state, lie) {
                (Some(state), Some(lie)) => self.lie(state, lie, &name, reply, &bytes).await,
                _ => self.tell(&reply.packet()).await,
            };
            if matches!(next, Next::End) {
                return;
            }
        }
    }

    async fn tell(&mut self, bytes: &[u8]) -> Next {
        if self.stream.write_all(bytes).await.is_err() { Next::End } else { Next::GoOn }
    }

    /// The truth, where it is said, and the file that it is about.
    fn honest(&mut self, request: &[u8]) -> (Option<State>, String, Reply) {
        let mut request = Request(request);
        let kind = request.bytes(1)[0];
        let id = request.number();
        if kind == 1 {
            let limits = self.script.said_longest_read.map(|_| [string("limits@openssh.com"), string("1")].concat());
            let body = [&3_u32.to_be_bytes()[..], &limits.unwrap_or_default()].concat();
            return (Some(State::Init), String::new(), Reply { kind: 2, id: None, body });
        }
        let path = request.text();
        let name = path.trim_start_matches(['/', 'f']).to_owned();
        let (state, (kind, body)) = match kind {
            3 => (State::Open, self.open(&path, &name)),
            4 => (State::Close, status(0, "")),
            5 => (State::Read, self.read(&name, request.offset(), request.number())),
            7 => (State::Lstat, self.look(&name, true)),
            8 => (State::Fstat, self.look(&name, false)),
            11 => (State::Opendir, self.opendir()),
            12 => (State::Readdir, self.readdir()),
            13 => (State::Remove, self.remove(&name)),
            16 => (State::Realpath, names(&[entry("/", &attributes(None, None, None))])),
            200 if path == "limits@openssh.com" => {
                let most = self.script.said_longest_read.unwrap_or_default();
                (State::Limits, (EXTENDED_REPLY, [1 << 18, most, 1 << 18, 0].map(u64::to_be_bytes).concat()))
            }
            _ => return (None, name, Reply { kind: STATUS, id: Some(id), body: status(8, "no").1 }),
        };
        (Some(state), name, Reply { kind, id: Some(id), body })
    }

    fn open(&self, path: &str, name: &str) -> (u8, Vec<u8>) {
        let is_there = path.starts_with('/') && self.shared.rack().files.contains_key(name);
        if is_there { (HANDLE, string(format!("f{name}"))) } else { status(NO_SUCH_FILE, "no such file") }
    }

    fn read(&self, name: &str, offset: u64, len: u32) -> (u8, Vec<u8>) {
        let mut rack = self.shared.rack();
        rack.longest_asked = rack.longest_asked.max(len);
        let Some(file) = rack.files.get(name) else { return status(FAILURE, "stale handle") };
        let end = self.script.early_end.unwrap_or(u64::MAX).min(file.bytes.len() as u64);
        let start = usize::try_from(offset.min(end)).unwrap();
        let asked = (len as usize).min(self.script.longest_read) + self.script.excess;
        let stop = (start + asked).min(usize::try_from(end).unwrap());
        if start == stop { status(EOF, "end of file") } else { (DATA, string(&file.bytes[start..stop])) }
    }

    fn look(&self, name: &str, by_path: bool) -> (u8, Vec<u8>) {
        let mut rack = self.shared.rack();
        let Some(file) = rack.files.get(name).cloned() else { return status(NO_SUCH_FILE, "no such file") };
        if by_path {
            rack.looked.insert(name.to_owned(), Some((file.bytes.len(), file.mtime)));
        }
        // What is open is what a link led to.
        let mode = if by_path { file.mode } else { REGULAR };
        (ATTRS, attributes_of(&Filed { mode, ..file }))
    }

    fn opendir(&mut self) -> (u8, Vec<u8>) {
        (self.listed, self.endless) = (false, None);
        (HANDLE, string("d"))
    }

    fn readdir(&mut self) -> (u8, Vec<u8>) {
        if let Some(endless) = self.endless {
            return further(endless, &mut Dice::new(self.shared.liar().dice.roll()));
        }
        if self.listed && !self.script.endless_listing {
            return status(EOF, "end of directory");
        }
        self.listed = true;
        let rack = self.shared.rack();
        let shown = |file| if self.script.bare_listing { attributes(None, None, None) } else { attributes_of(file) };
        let found = rack.files.iter().map(|(name, file)| entry(name, &shown(file)));
        // The same name twice, which no map holds.
        let doubled = self.script.twice.iter().filter_map(|name| Some(entry(name, &shown(rack.files.get(*name)?))));
        names(&found.chain(doubled).collect::<Vec<_>>())
    }

    fn remove(&self, name: &str) -> (u8, Vec<u8>) {
        let mut rack = self.shared.rack();
        let Some(file) = rack.files.remove(name) else { return status(NO_SUCH_FILE, "no such file") };
        let looked = rack.looked.remove(name);
        let was_seen = looked == Some(Some((file.bytes.len(), file.mtime)));
        let was_lied_about = looked == Some(None);
        rack.removed.push(Removed { name: name.to_owned(), file, was_lied_about, was_seen });
        status(0, "")
    }

    async fn lie(&mut self, state: State, lie: Lie, name: &str, mut reply: Reply, request: &[u8]) -> Next {
        if lie.is_about_content() {
            self.shared.rack().vouched.insert(name.to_owned());
        }
        if state == State::Lstat {
            self.shared.rack().looked.insert(name.to_owned(), None);
        }
        let mut dice = Dice::new(self.shared.liar().dice.roll());
        match lie {
            Lie::FileGrew | Lie::FileShrank | Lie::FileReplaced | Lie::FileVanished | Lie::FileBecameLink => {
                self.disturb(lie, name, &mut dice);
                reply = self.honest(request).2;
            }
            _ => {
                if let Some((kind, body)) = self.body(lie, &reply, &mut dice) {
                    (reply.kind, reply.body) = (kind, body);
                } else {
                    return self.mishandle(lie, &reply, &mut dice).await;
                }
            }
        }
        self.tell(&reply.packet()).await
    }

    /// A listing is about no one file, so any is disturbed.
    fn disturb(&mut self, lie: Lie, name: &str, dice: &mut Dice) {
        let mut rack = self.shared.rack();
        let all: Vec<String> = rack.files.keys().cloned().collect();
        let name = if all.is_empty() || rack.files.contains_key(name) { name } else { &all[dice.below(all.len())] };
        rack.disturb(lie, name);
        drop(rack);
        self.listed = false;
    }

    /// Lies that are well-formed replies.
    fn body(&mut self, lie: Lie, reply: &Reply, dice: &mut Dice) -> Option<(u8, Vec<u8>)> {
        let size = |size: u64| (ATTRS, attributes(Some(size), Some(REGULAR), Some(1_000_000_000)));
        Some(match lie {
            Lie::TypeOther => {
                let kinds = [status(0, "all is well"), (HANDLE, string("x")), (DATA, string("x")), names(&[]), size(1)];
                kinds[dice.below(5)].clone()
            }
            Lie::StatusOdd => {
                let code = dice.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 31, u32::MAX]);
                status(code, &HOSTILE.repeat(1 + dice.below(50)))
            }
            Lie::StatusDenied => status(3, HOSTILE),
            Lie::VersionOdd => (2, dice.pick(&[0, 2, 4, 6, u32::MAX]).to_be_bytes().to_vec()),
            Lie::PathNone => names(&[]),
            Lie::PathHostile => names(&[entry(HOSTILE, &attributes(None, None, None))]),
            Lie::PathEndless => names(&[entry("/x".repeat(100_000), &attributes(None, None, None))]),
            Lie::HandleEmpty => (HANDLE, string("")),
            Lie::HandleEndless => (HANDLE, string("h".repeat(200_000))),
            Lie::AttrsLarger => size(dice.roll() % 1_000_000),
            Lie::AttrsSmaller => size(dice.roll() % 1000),
            Lie::AttrsNewer => (ATTRS, attributes(Some(1), Some(REGULAR), Some(dice.pick(&[0, 1, u32::MAX])))),
            Lie::AttrsLink => (ATTRS, attributes(Some(1), Some(LINK), Some(0))),
            Lie::AttrsDevice => {
                let mode = dice.pick(&[0o060_666, 0o020_666, 0o010_666, 0o140_777, 0o040_755, 0, u32::MAX]);
                (ATTRS, attributes(Some(0), Some(mode), Some(0)))
            }
            Lie::AttrsNone => (ATTRS, attributes(None, None, None)),
            Lie::AttrsAbsurd => size(dice.pick(&[1 << 63, u64::MAX, (1 << 63) - 1, 1 << 40])),
            Lie::ReadEmpty => (DATA, string("")),
            Lie::ReadShort => (DATA, string(&reply.body[4..(4 + 1 + dice.below(500)).min(reply.body.len())])),
            Lie::ReadLong => (DATA, string([&reply.body[4..], b"more"].concat())),
            Lie::ReadFlipped => {
                let mut body = reply.body.clone();
                let at = 4 + dice.below(body.len() - 4);
                body[at] ^= 1 << dice.below(8);
                (reply.kind, body)
            }
            Lie::ReadElsewhere => (DATA, string(reply.body[4..].iter().rev().copied().collect::<Vec<_>>())),
            _ => return self.listing(lie, dice),
        })
    }

    fn listing(&mut self, lie: Lie, dice: &mut Dice) -> Option<(u8, Vec<u8>)> {
        let real: Vec<(String, Filed)> = self.shared.rack().files.clone().into_iter().collect();
        let shown = |attributes: &dyn Fn(&Filed) -> Vec<u8>| -> Vec<Vec<u8>> {
            real.iter().map(|(name, file)| entry(name, &attributes(file))).collect()
        };
        let honest = shown(&attributes_of);
        Some(match lie {
            Lie::ListingEmpty => names(&[]),
            Lie::ListingNew | Lie::ListingLong | Lie::ListingSame => {
                self.endless = Some(lie);
                further(lie, dice)
            }
            Lie::ListingDoubled => {
                let others = shown(&|_| attributes(Some(1), Some(REGULAR), Some(9)));
                names(&[honest.clone(), others, honest].concat())
            }
            Lie::ListingBare => names(&shown(&|_| attributes(None, None, None))),
            Lie::ListingWithout => {
                names(&shown(&|file| attributes(Some(file.bytes.len() as u64), None, Some(file.mtime))))
            }
            Lie::ListingHostile => names(&[honest, hostile(dice.below(2) == 0)].concat()),
            Lie::ListingOdd => names(&[honest, odd()].concat()),
            Lie::ListingAbsurd => names(&[absurd(), honest].concat()),
            Lie::ListingCount => (NAME, dice.pick(&[1, 1000, u32::MAX]).to_be_bytes().to_vec()),
            _ => return None,
        })
    }

    /// Lies about packets, and about what comes between them.
    async fn mishandle(&mut self, lie: Lie, reply: &Reply, dice: &mut Dice) -> Next {
        let packet = reply.packet();
        let framed = |length: u32| [&length.to_be_bytes()[..], &packet[4..]].concat();
        let length = u32::try_from(packet.len() - 4).unwrap();
        let id = reply.id.unwrap_or(0);
        let half = &packet[..4 + dice.below(packet.len() - 4)];
        match lie {
            Lie::Late => {
                tokio::time::sleep(Duration::from_millis(10)).await;
                self.tell(&packet).await
            }
            Lie::Never => Next::GoOn,
            Lie::OtherId => self.tell(&Reply { id: Some(id + 1), ..reply.clone() }.packet()).await,
            Lie::StrayId => self.tell(&Reply { id: Some(id ^ 0x8000_0000), ..reply.clone() }.packet()).await,
            Lie::Twice | Lie::VersionTwice => self.tell(&[&packet[..], &packet].concat()).await,
            Lie::Truncated => {
                let cut = u32::try_from(half.len() - 4).unwrap();
                self.tell(&[&cut.to_be_bytes()[..], &half[4..]].concat()).await
            }
            Lie::Trailing => {
                let junk = vec![0x5a; 1 + dice.below(1000)];
                self.tell(&Reply { body: [&reply.body[..], &junk].concat(), ..reply.clone() }.packet()).await
            }
            Lie::FrameShort => self.tell(&framed(length / 2)).await,
            Lie::FrameLong => self.tell(&framed(length + 7)).await,
            Lie::FrameHuge => self.tell(&framed(dice.pick(&[u32::MAX, 1 << 31, 1 << 19]))).await,
            Lie::FrameEmpty => self.tell(&framed(0)).await,
            Lie::TypeUnknown => {
                self.tell(&Reply { kind: dice.pick(&[0, 1, 3, 99, 106, 200, 201, 255]), ..reply.clone() }.packet())
                    .await
            }
            Lie::StderrFlood | Lie::StrayFlood | Lie::ChannelFlood => {
                self.flood(lie, dice).await;
                self.tell(&packet).await
            }
            _ => self.leave(lie, half).await,
        }
    }

    async fn flood(&mut self, lie: Lie, dice: &mut Dice) {
        for number in 0..FLOOD {
            match lie {
                Lie::StderrFlood => drop(self.handle.extended_data(self.channel, 1, vec![b'e'; 16_000]).await),
                Lie::ChannelFlood if number % 10 == 0 => {
                    // Its answer is waited for by nobody.
                    let handle = self.handle.clone();
                    tokio::spawn(async move { drop(handle.channel_open_forwarded_tcpip("x", 1, "y", 2).await) });
                }
                Lie::StrayFlood => {
                    let id = Some(0x4000_0000 | u32::try_from(dice.below(1 << 20)).unwrap());
                    self.tell(&Reply { kind: DATA, id, body: string(vec![b's'; 16_000]) }.packet()).await;
                }
                _ => {}
            }
        }
    }

    async fn leave(&mut self, lie: Lie, half: &[u8]) -> Next {
        match lie {
            Lie::HalfThenEnd => {
                self.tell(half).await;
                drop(self.stream.shutdown().await);
            }
            Lie::ChannelEof => drop(self.handle.eof(self.channel).await),
            Lie::ChannelClosed => drop(self.handle.close(self.channel).await),
            Lie::Farewell => {
                let said = HOSTILE.repeat(100);
                drop(self.handle.disconnect(Disconnect::ByApplication, said, "en".to_owned()).await);
            }
            // Stalled: read, so that the client can say what it likes, and say nothing.
            _ => {
                let mut ignored = [0; 4096];
                while let Ok(read @ 1..) = self.stream.read(&mut ignored).await {
                    self.shared.rack().ignored += read;
                }
            }
        }
        Next::End
    }
}
