//! What a lying site says, and when: a seed makes a session's lies, so that each session can be had again.
//!
//! At each state of the protocols a reply is honest or one of the lies that fit there. What a lie is on the wire stands in
//! `scripted` (SSH), `rude` (before there is SSH) and `shelf` (SFTP).

use std::collections::BTreeMap;
use std::fmt::Debug;

/// Numbers that follow from a seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Those of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end as u64).unwrap()
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Where a session stands when it may be lied to.
#[expect(missing_docs, reason = "most are requests of SFTP, by their names")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// A TCP connection was made.
    Connect,
    /// A key was shown.
    Login,
    /// A channel was asked for.
    Channel,
    /// The sftp subsystem was asked for.
    Subsystem,
    /// `SSH_FXP_INIT`, and so on for each request.
    Init,
    Realpath,
    Opendir,
    Readdir,
    Close,
    Lstat,
    Fstat,
    Open,
    Read,
    Remove,
    Limits,
}

/// One lie.
#[expect(missing_docs, reason = "each is a name for what the servers do when it is told")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lie {
    // Of the line and of what comes before SSH.
    Silent,
    HungUp,
    EndlessBanner,
    LongBanner,
    Garbage,
    OldProtocol,
    IdThenSilent,
    HugePacket,
    EmptyPacket,
    EndlessIgnores,
    KexThenSilent,
    KexOfNothing,
    KexOfZip,
    KexOfHostileNames,
    KexGarbage,
    EarlyFarewell,
    ReplyGarbage,
    KeyOfAnotherKind,
    KeyNotItsOwn,
    FlippedBit,
    CutLine,
    DeafLine,
    // Of SSH.
    EndlessRekeys,
    EndlessKeepalives,
    NoWindow,
    LoginStalled,
    LoginRefused,
    LoginHalf,
    LoginHungUp,
    ChannelRefused,
    ChannelStalled,
    SubsystemRefused,
    SubsystemStalled,
    SubsystemThenEnd,
    // Of any SFTP reply.
    Late,
    Never,
    Stalled,
    OtherId,
    StrayId,
    Twice,
    HalfThenEnd,
    Truncated,
    Trailing,
    FrameShort,
    FrameLong,
    FrameHuge,
    FrameEmpty,
    TypeUnknown,
    TypeOther,
    StatusOdd,
    StatusDenied,
    ChannelEof,
    ChannelClosed,
    Farewell,
    StderrFlood,
    StrayFlood,
    ChannelFlood,
    // Of one.
    VersionOdd,
    VersionTwice,
    PathNone,
    PathHostile,
    PathEndless,
    HandleEmpty,
    HandleEndless,
    ListingEmpty,
    ListingNew,
    ListingLong,
    ListingSame,
    ListingHostile,
    ListingDoubled,
    ListingBare,
    ListingOdd,
    ListingAbsurd,
    ListingWithout,
    ListingCount,
    AttrsLarger,
    AttrsSmaller,
    AttrsNewer,
    AttrsLink,
    AttrsDevice,
    AttrsNone,
    AttrsAbsurd,
    ReadEmpty,
    ReadShort,
    ReadLong,
    ReadFlipped,
    ReadElsewhere,
    // What the site does to its files meanwhile; its replies are honest.
    FileGrew,
    FileShrank,
    FileReplaced,
    FileVanished,
    FileBecameLink,
}

use Lie::*;

const OF_CONNECTIONS: &[Lie] = &[
    Silent,
    HungUp,
    EndlessBanner,
    LongBanner,
    Garbage,
    OldProtocol,
    IdThenSilent,
    HugePacket,
    EmptyPacket,
    EndlessIgnores,
    KexThenSilent,
    KexOfNothing,
    KexOfZip,
    KexOfHostileNames,
    KexGarbage,
    EarlyFarewell,
    ReplyGarbage,
    KeyOfAnotherKind,
    KeyNotItsOwn,
    FlippedBit,
    FlippedBit,
    FlippedBit,
    CutLine,
    CutLine,
    CutLine,
    DeafLine,
    DeafLine,
    EndlessRekeys,
    EndlessRekeys,
    EndlessKeepalives,
    NoWindow,
];
const OF_REPLIES: &[Lie] = &[
    Late,
    Never,
    Stalled,
    OtherId,
    StrayId,
    Twice,
    HalfThenEnd,
    Truncated,
    Trailing,
    FrameShort,
    FrameLong,
    FrameHuge,
    FrameEmpty,
    TypeUnknown,
    TypeOther,
    StatusOdd,
    StatusDenied,
    ChannelEof,
    ChannelClosed,
    Farewell,
    StderrFlood,
    StrayFlood,
    ChannelFlood,
];
const OF_ATTRIBUTES: &[Lie] = &[AttrsLarger, AttrsSmaller, AttrsNewer, AttrsLink, AttrsDevice, AttrsNone, AttrsAbsurd];
const OF_FILES: &[Lie] = &[FileGrew, FileShrank, FileReplaced, FileVanished, FileBecameLink];
const OF_LISTINGS: &[Lie] = &[
    ListingEmpty,
    ListingNew,
    ListingLong,
    ListingSame,
    ListingHostile,
    ListingDoubled,
    ListingBare,
    ListingOdd,
    ListingAbsurd,
    ListingWithout,
    ListingCount,
];
const OF_READS: &[Lie] = &[ReadEmpty, ReadShort, ReadLong, ReadFlipped, ReadElsewhere];

impl State {
    /// Every lie that fits here.
    pub fn every_lie(self) -> impl Iterator<Item = Lie> {
        self.lies().into_iter().flatten().copied()
    }

    /// The lies that fit here: those that only fit here first, and the common ones where there are any.
    fn lies(self) -> [&'static [Lie]; 3] {
        match self {
            Self::Connect => [OF_CONNECTIONS, &[], &[]],
            Self::Login => [&[LoginStalled, LoginRefused, LoginHalf, LoginHungUp], &[], &[]],
            Self::Channel => [&[ChannelRefused, ChannelStalled], &[], &[]],
            Self::Subsystem => [&[SubsystemRefused, SubsystemStalled, SubsystemThenEnd], &[], &[]],
            Self::Init => [&[VersionOdd, VersionTwice], OF_REPLIES, &[]],
            Self::Realpath => [&[PathNone, PathHostile, PathEndless], OF_REPLIES, &[]],
            Self::Opendir => [&[HandleEmpty, HandleEndless], OF_REPLIES, &[]],
            Self::Readdir => [OF_LISTINGS, OF_REPLIES, OF_FILES],
            Self::Open => [&[HandleEmpty, HandleEndless], OF_REPLIES, OF_FILES],
            Self::Read => [OF_READS, OF_REPLIES, OF_FILES],
            Self::Lstat | Self::Fstat => [OF_ATTRIBUTES, OF_REPLIES, OF_FILES],
            Self::Close | Self::Remove | Self::Limits => [&[], OF_REPLIES, &[]],
        }
    }
}

impl Lie {
    /// Whether whoever is told this waits until its patience ends, for no answer comes.
    pub fn is_waited_for(self) -> bool {
        matches!(
            self,
            Silent
                | IdThenSilent
                | EndlessIgnores
                | KexThenSilent
                | KexGarbage
                | Garbage
                | FlippedBit
                | DeafLine
                | NoWindow
                | LoginStalled
                | ChannelStalled
                | SubsystemStalled
                | Never
                | Stalled
                | OtherId
                | StrayId
                | FrameLong
                | ListingNew
                | ListingLong
                | ListingSame
        )
    }

    /// Whether the site vouches for content that the file does not have. No client can know by the protocol alone: what
    /// was encrypted and signed must show it.
    pub fn is_about_content(self) -> bool {
        matches!(self, ReadFlipped | ReadElsewhere | OtherId | TypeOther | AttrsSmaller | AttrsAbsurd)
    }
}

/// Who decides, reply by reply.
#[derive(Debug)]
pub struct Liar {
    /// What else is left to chance in a lie.
    pub dice: Dice,
    always: Vec<(State, Lie)>,
    is_brief: bool,
    one_in: usize,
    left: usize,
    in_haste: bool,
    /// How often which lie was told, by state and lie.
    pub told: BTreeMap<(State, Lie), usize>,
}

impl Liar {
    /// Never lies.
    pub fn honest() -> Self {
        Self::that_says(&[])
    }

    /// Tells these lies wherever they fit, and no others.
    pub fn that_says(always: &[(State, Lie)]) -> Self {
        let (dice, always) = (Dice::new(1), always.to_vec());
        Self { dice, always, is_brief: false, one_in: 1, left: 0, in_haste: false, told: BTreeMap::new() }
    }

    /// The lies of a seed: now many, now few, and at least one or so.
    pub fn of_seed(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let one_in = dice.pick(&[3, 8, 20, 40]);
        let left = dice.pick(&[2, 5, usize::MAX]);
        Self { dice, one_in, left, ..Self::honest() }
    }

    /// Each of them once.
    #[must_use]
    pub fn once(self) -> Self {
        Self { is_brief: true, ..self }
    }

    /// At most so many of them, and none that is waited for.
    #[must_use]
    pub fn in_haste(mut self, most: usize) -> Self {
        self.left = self.left.min(most);
        self.one_in = self.one_in.min(8);
        self.in_haste = true;
        self
    }

    /// No more lies.
    pub fn repent(&mut self) {
        (self.left, self.always) = (0, Vec::new());
    }

    /// What to say here, if not the truth.
    pub fn at(&mut self, state: State) -> Option<Lie> {
        let said = self.always.iter().position(|(when, _)| *when == state);
        let lie = match said {
            Some(at) if self.is_brief => self.always.swap_remove(at).1,
            Some(at) => self.always[at].1,
            None => self.any(state)?,
        };
        *self.told.entry((state, lie)).or_default() += 1;
        Some(lie)
    }

    fn any(&mut self, state: State) -> Option<Lie> {
        if self.left == 0 || self.dice.below(self.one_in) > 0 {
            return None;
        }
        let kinds: Vec<_> = state.lies().into_iter().filter(|lies| !lies.is_empty()).collect();
        let lies = self.dice.pick(&kinds);
        let lie = self.dice.pick(lies);
        if self.in_haste && lie.is_waited_for() {
            return None;
        }
        self.left -= 1;
        Some(lie)
    }
}
