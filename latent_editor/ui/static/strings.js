// @ts-check
// Every word that visitors see. To translate the page, replace this file.
//
// page.html refers to words by their path (data-text="start.camera"). Filled-in texts are functions. { faces, other }
// holds the wording for models of faces and for all others. Text from the server (errors, advice, slider names) is not
// in here.

/** @param {number} fraction */
const percent = (fraction) => `${Math.round(fraction * 100)}%`;
/** @param {number} value */
const seconds = (value) => `${Math.round(value)} s`;
/** @param {number} psnr */
const decibels = (psnr) => `${psnr.toFixed(1)} dB`;

/** @type {(number: number) => string} */
const faceNumber = (number) => `Face ${number}`;
/** @type {(number: number) => string} */
const pictureNumber = (number) => `Picture ${number}`;

export const strings = {
  units: {
    percent,
    seconds,
    pixels: (/** @type {number} */ size) => `${size} px`,
    kilobytes: (/** @type {number} */ size) => `${size} kB`,
    megabytes: (/** @type {string} */ size) => `${size} MB`,
    place: (/** @type {number} */ x, /** @type {number} */ y) => `${percent(x)} across, ${percent(y)} down`,
  },

  head: {
    theme: 'Switch between light and dark',
    help: 'Help',
    back: 'Back to your picture',
    newPhoto: 'New photo',
  },

  help: {
    synthetic: 'Pictures made here are synthetic.',
    syntheticAbout: 'A model draws what you see in imitation of your photo. Saved files say so.',
    compareKeys: 'drag across the picture',
    compare: 'compare with the original',
    space: 'Space',
    originalKeys: 'or press and hold',
    original: 'show the original',
    shift: 'Shift',
    step: 'move a slider by 0.1; hold Shift for 0.5',
    resetKeys: 'double-click a slider',
    reset: 'reset it to zero',
    ctrl: 'Ctrl',
    undo: 'undo, redo',
  },

  messages: { close: 'Close this message' },

  problems: {
    page: { what: 'Something went wrong on this page.', todo: 'Try again, or reload the page.' },
    offline: {
      what: 'The server is not responding.',
      todo: 'Make sure that it is running, then try again. Your work on this page is kept.',
    },
    status: (/** @type {number} */ status) => ({
      what: `The server answered with error ${status}.`, todo: 'Try again.',
    }),
    interrupted: { what: 'The task was interrupted.', todo: 'Try again.' },
    fileTooLarge: (/** @type {number} */ size, /** @type {number} */ most) => ({
      what: `This file is ${size} MB; the limit is ${most} MB.`, todo: 'Save a smaller version, such as a JPEG.',
    }),
    modelTooLarge: (/** @type {number} */ size, /** @type {number} */ most) => ({
      what: `This file is ${size} MB; the limit is ${most} MB.`, todo: 'Shrink it with “latent-editor convert”.',
    }),
    cameraNeedsHttps: {
      what: 'The camera needs a secure connection.', todo: 'Open this page over https or at 127.0.0.1.',
    },
    cameraRefused: {
      what: 'The camera could not be opened.', todo: 'Allow it in your browser, or choose a photo instead.',
    },
    examplesFailed: (/** @type {number} */ failed, /** @type {number} */ count, /** @type {string} */ first) => ({
      what: `${failed} of ${count} photos could not be used. ${first}`, todo: 'The others were added.',
    }),
  },

  models: {
    label: 'Models',
    summary: (/** @type {string} */ title) => `Model: ${title}. Choose another`,
    credit: (/** @type {string} */ title, /** @type {string} */ thanks) => `Model “${title}”. ${thanks}.`,
    sources: { fetched: 'downloaded', own: 'your file, kept for two hours' },
    upload: 'Use a model file…',
    uploadAbout: 'Any StyleGAN2 or StyleGAN3 model: .pkl, .pt, .safetensors. It is read, never executed, and only you '
      + 'can see it.',
    cancel: 'Cancel',
    progressLabel: 'Model',
    reading: (/** @type {string} */ title) => `Loading ${title}`,
    sending: (/** @type {string} */ name) => `Uploading ${name}`,
    progress: (/** @type {string} */ what, /** @type {string} */ figure) => `${what} · ${figure}`,
  },

  preparation: {
    label: 'Model preparation',
    doing: (/** @type {string} */ model, /** @type {string} */ step) => `${model} is new here. ${step} …`,
    queued: 'Queued',
    progress: (/** @type {number} */ fraction, /** @type {number} */ elapsed) => (
      `${percent(fraction)} · ${seconds(elapsed)}`),
    stop: 'Stop',
    stopping: 'stopping …',
  },

  jobs: {
    doing: (/** @type {string} */ label) => `${label} …`,
    cancel: 'Cancel',
    left: (/** @type {number} */ fraction, /** @type {number} */ elapsed) => (
      `${percent(fraction)} · ${Math.ceil(elapsed / fraction - elapsed)} s left`),
    isolating: 'Isolating the slider',
    describing: 'Making a slider',
    fitting: 'Studying many faces',
    rendering: 'Rendering',
    transferring: (/** @type {string} */ part) => `Transferring the ${part}`,
  },

  start: {
    section: 'Choose a photo',
    drop: { faces: 'Drop a photo of a face here', other: 'Drop a photo here' },
    opening: { faces: 'Looking for a face …', other: 'Opening the photo …' },
    choose: 'Choose a photo',
    camera: 'Camera',
    random: { faces: 'Random face', other: 'Random picture' },
    class: 'Class',
    anyClass: 'any class',
    classNumber: (/** @type {string} */ name) => `class ${name}`,
    snap: 'Take photo',
    cancelCamera: 'Cancel',
    file: 'Photo, saved latent, recipe or sliders',
    offer: 'used with another model',
    offerTake: 'Reconstruct with this model',
    describe: 'Describe a face',
    describePlaceholder: 'Describe a face: a bearded man',
    describeGo: 'Generate a face from this text',
    generated: 'The face so far',
    examples: {
      faces: 'or start with a face that does not exist',
      other: 'or start with a picture that the model made up',
    },
    example: { faces: faceNumber, other: pictureNumber },
    privacy: 'Photos are processed on the computer that serves this page. They stay in its memory only and are deleted '
      + 'two hours after you last use them. You can also open a saved latent here.',
  },

  choose: {
    section: 'Choose a face',
    head: 'Which face?',
    face: faceNumber,
    byHand: 'Crop manually',
    leave: 'Use another photo',
  },

  crop: {
    section: 'Crop manually',
    about: {
      faces: 'Click or drag to place the square so that the marks line up with the eyes, nose, mouth and chin.',
      other: 'Click or drag to place the square on what you want to see.',
    },
    photo: 'Your photo',
    square: 'Crop square. Arrow keys move it, plus and minus resize it, Enter confirms.',
    size: 'Size',
    use: 'Use this crop',
    leave: 'Use another photo',
  },

  reconstruction: {
    label: 'Reconstruction',
    waiting: 'waiting in line …',
    firstLook: 'starting …',
    /**
     * @param {number} elapsed
     * @param {{word: string, psnr_db: number} | null} fidelity
     */
    progress: (elapsed, fidelity) => (
      fidelity ? `${seconds(elapsed)} · fidelity: ${fidelity.word} (${decibels(fidelity.psnr_db)})` : seconds(elapsed)),
    stop: 'Stop and keep this',
    head: 'Your photo',
    photo: 'Your photo, cropped and straightened',
    about: 'The model redraws your photo in the large picture and gets closer step by step.',
    recrop: 'Wrong area? Crop manually',
  },

  work: { section: 'Edit the picture', result: 'Edited picture' },

  compare: {
    label: 'Compare with the original',
    result: 'result',
    resultOnly: 'result only',
    resultShare: (/** @type {number} */ value) => `${Math.round(value)}% result`,
    photo: {
      tag: 'photo',
      button: 'vs. photo',
      hint: 'The original is your photo. Click to compare with the unedited face instead.',
    },
    unedited: {
      tag: 'unedited',
      button: 'vs. unedited',
      hint: 'The original is the unedited face. Click to compare with your photo instead.',
    },
  },

  similarity: {
    fidelity: 'fidelity',
    decibels,
    fidelityHint: 'How close the pixels of the unedited picture are to your photo (PSNR)',
    meterHint: 'How similar the unedited picture is to your photo: the words rate the face, the decibels all pixels '
      + '(PSNR)',
    map: 'Show differences',
    mapHint: 'Show where the unedited picture differs from your photo',
    mapAlt: 'Where the unedited picture differs from the photo',
    mapScale: ['same', 'visible', 'strong'],
    identity: 'identity change',
    identityMeter: 'Change of identity',
    identityHint: 'How much the edits changed the person’s identity',
  },

  panel: {
    section: 'Sliders',
    describe: 'Describe a change',
    describePlaceholder: 'Describe a change: red hair',
    describeGo: 'Make a slider from this text',
    add: 'Add',
    reset: 'Reset all',
    import: 'Import',
    importHint: 'Open a saved recipe or saved sliders',
    finding: 'Sliders for this model are being found and will appear here.',
    noDirections: 'No sliders were found for this model.',
    describeInstead: 'Describe a change above.',
    scaled: (/** @type {number} */ scale) => (
      `Combined edits exceed the model’s range; all are scaled to ${percent(scale)}.`),
  },

  tile: {
    add: (/** @type {string} */ name) => `Add ${name}`,
    addHint: (/** @type {string} */ name) => `Add a slider for ${name}`,
    unsure: '?',
  },

  slider: {
    reset: 'Reset to zero',
    valueLabel: (/** @type {string} */ name, /** @type {string} */ value) => `${name}: ${value}. Reset to zero`,
    unsure: 'unclear',
    guessHint: 'This name is a guess.',
    mute: (/** @type {string} */ name) => `Mute ${name}`,
    show: 'Turn this edit on',
    hide: 'Turn this edit off',
    options: (/** @type {string} */ name) => `Options for ${name}`,
    less: (/** @type {string} */ name) => `Less ${name}`,
    more: (/** @type {string} */ name) => `More ${name}`,
    endHint: (/** @type {string} */ label) => `${label}. Shift-click: all the way`,
  },

  sliderMenu: {
    isolate: 'Isolate this slider',
    isolateHint: 'Reduce what it changes besides its own effect',
    isolated: 'The slider is isolated. Undo restores it.',
    layers: 'Layers',
    region: 'Region',
    name: 'Name',
    nameLabel: 'Slider name',
    pin: 'Pin',
    unpin: 'Unpin',
    pinHint: 'Keep it for the next face',
    save: 'Save',
    saveHint: 'Save as a file to import or share',
    remove: 'Remove',
  },

  layers: {
    own: { label: 'Default', hint: 'the layers that this direction was made for' },
    all: { label: 'All', hint: 'everything' },
    coarse: { label: 'Coarse', hint: 'pose and shape' },
    middle: { label: 'Middle', hint: 'features' },
    fine: { label: 'Fine', hint: 'color and texture' },
  },

  textMethod: {
    head: 'Method',
    label: 'How this text becomes a slider',
    methods: {
      fast: { label: 'Default', hint: 'same for every face; from statistics of faces and words' },
      global: { label: 'Few channels', hint: 'changes only matching channels; takes half a minute the first time' },
      optimize: { label: 'This face', hint: 'optimized for this face; takes some seconds' },
    },
  },

  effects: {
    head: 'What it changes',
    headWithOwn: 'What it changes, including side effects',
    hint: 'Measured on random faces from −2 to +2, in standard deviations between faces',
    nothingElse: 'No other noticeable changes.',
    identity: ['Identity stays the same.', 'Identity changes slightly.', 'Identity changes.'],
    nameScore: (/** @type {number} */ score, /** @type {boolean} */ unsure) => (unsure
      ? `The name is a guess (${percent(score)} match).`
      : `Name match: ${percent(score)}.`),
  },

  sources: {
    boundary: 'Learned from examples',
    text: 'Made from your description',
    pca: 'Found in the model (principal component)',
    sefa: 'Found in the model’s weights (SeFa)',
    gradient: 'Found in the model (gradients)',
    stylespace: 'A channel of the model (StyleSpace)',
    imported: 'Imported from a file',
    drag: 'Made by dragging points',
    mix: 'Mixed from another face',
    taken: 'Transferred from another face',
  },

  region: {
    label: 'Region',
    whole: 'Whole picture',
    parts: ['eyes', 'nose', 'mouth', 'face', 'hair', 'background'],
    names: {
      eyes: 'Eyes', nose: 'Nose', mouth: 'Mouth', face: 'Face', hair: 'Hair', background: 'Background',
      painted: 'Painted area',
    },
    paint: 'Paint an area…',
    repaint: 'Paint a new area…',
    only: (/** @type {string} */ name) => `Limited to: ${name}`,
  },

  brush: { size: 'Brush size', undo: 'Undo stroke' },

  regionBrush: {
    toolbar: 'Paint a region',
    canvas: 'Brush. Paint where the slider acts. Arrow keys move the brush, Enter paints a dot, Backspace removes the '
      + 'last stroke.',
    hint: (/** @type {string} */ name) => `Paint where “${name}” should act.`,
    use: 'Apply',
    cancel: 'Cancel',
  },

  faceMix: {
    label: 'Mix faces',
    about: 'Another face is mixed in as a slider: halfway at first, all of it at 1.',
    choose: 'Choose a photo',
    or: 'or one of these',
    choice: 'What to mix',
    layers: { all: 'Everything', coarse: 'Pose, shape', middle: 'Features', fine: 'Colors' },
  },

  partTransfer: {
    label: 'Transfer a part',
    about: 'A part of another face is drawn into this one. The slider sets how much.',
    choose: 'Choose a photo',
    or: 'or one of these',
    choice: 'What to transfer',
    parts: { mouth: 'Mouth', eyes: 'Eyes', nose: 'Nose', hair: 'Hair', face: 'Face' },
  },

  fromExamples: {
    label: 'From examples',
    form: 'Slider from examples',
    source: 'Examples',
    sources: { words: 'Two descriptions', photos: 'Two sets of photos' },
    more: 'With the attribute',
    morePlaceholder: 'a person with freckles',
    less: 'Without the attribute',
    lessPlaceholder: 'the opposite (optional)',
    positive: 'With it',
    negative: 'Without it',
    name: 'Slider name',
    make: 'Make slider',
    tooFew: (/** @type {number} */ least) => `At least ${least} photos in each set`,
  },

  exampleSet: {
    add: 'Add photos',
    least: (/** @type {number} */ least) => `at least ${least}`,
    count: (/** @type {number} */ count) => `${count} photos`,
    countOf: (/** @type {number} */ count, /** @type {number} */ least) => `${count} of at least ${least}`,
    reading: (/** @type {number} */ number, /** @type {number} */ count) => `reading ${number} of ${count} …`,
    remove: (/** @type {string} */ name) => `Remove ${name}`,
    removeHint: (/** @type {string} */ name) => `${name}: click to remove`,
  },

  points: {
    open: 'Drag points',
    layer: 'Points to drag',
    add: 'Add point',
    clear: 'Clear',
    move: 'Move',
    stop: 'Stop and keep this',
    done: 'Done',
    hintFirst: 'Click a point, then its target.',
    hintTarget: 'Now click its target.',
    hintCount: (/** @type {number} */ count, /** @type {number} */ most) => `${count} of up to ${most} points`,
    source: (/** @type {number} */ number, /** @type {string} */ where) => (
      `Point ${number}, ${where}. Arrow keys move it, Delete removes it.`),
    target: (/** @type {number} */ number, /** @type {string} */ where) => (
      `Target of point ${number}, ${where}. Arrow keys move it, Delete removes it.`),
    working: 'Moving the points …',
    progress: (/** @type {number} */ done) => `${done}% of the way`,
    moved: 'Moved, as the slider “drag”. Undo reverts it.',
  },

  repair: {
    open: 'Damaged photo? Repair it',
    section: 'Repair the photo',
    head: 'What is wrong with it?',
    photo: 'Your original photo',
    canvas: 'Brush. Paint over what is missing. Arrow keys move the brush, Enter paints a dot, Backspace removes the '
      + 'last stroke.',
    missing: 'Missing area: paint over it',
    brush: 'brush size',
    amount: (/** @type {string} */ fault) => `${fault}: amount`,
    about: 'Intact areas of the photo stay as they are. The model fills in the rest with a plausible face.',
    go: 'Repair',
    back: 'Back',
  },

  faults: {
    scale: { label: 'Low resolution', amount: (/** @type {number} */ value) => `${value}×` },
    grey: { label: 'Grayscale', amount: () => '' },
    blur_px: { label: 'Blur', amount: (/** @type {number} */ value) => `${value} px` },
    noise: { label: 'Noise', amount: (/** @type {number} */ value) => percent(value) },
    jpeg: { label: 'JPEG artifacts', amount: (/** @type {number} */ value) => `quality ${value}` },
  },

  colorHints: {
    label: 'A color that you know',
    color: 'Hint color',
    place: 'Place on photo',
    layer: 'Color hints',
    hint: (/** @type {number} */ number, /** @type {string} */ color, /** @type {string} */ where) => (
      `Color hint ${number}, ${color}, ${where}. Arrow keys move it, Delete removes it.`),
    title: 'Drag to move, double-click to remove',
  },

  position: {
    section: 'Position',
    head: 'Position',
    axes: {
      'position-x': { title: 'Horizontal', figure: percent },
      'position-y': { title: 'Vertical', figure: percent },
      'position-turn': { title: 'Rotation', figure: (/** @type {number} */ value) => `${Math.round(value)}°` },
    },
    reset: 'Reset',
    valueLabel: (/** @type {string} */ axis, /** @type {string} */ value) => `${axis}: ${value}. Reset`,
  },

  video: {
    section: 'Video',
    open: 'Video',
    head: 'Video',
    close: 'Close the video panel',
    make: 'Create video',
    save: (/** @type {string} */ size) => `Save video (${size})`,
    player: 'Video',
    nothing: 'Nothing is edited yet: move a slider first, or add a motion clip.',
    format: 'Format',
    length: 'Length',
    seconds: (/** @type {number} */ count) => `${count} seconds`,
    loop: 'Seamless loop',
    removeFile: 'Remove',
    readingFile: 'reading …',
  },

  keyframes: {
    head: 'Keyframes',
    about: 'Click a picture in the history below, then add it. The video plays them in this order.',
    add: 'Add current picture',
    clear: 'Reset',
    easeRow: 'Easing',
    easeLabel: 'Easing between keyframes',
    eases: {
      smooth: 'ease in and out', linear: 'linear', 'ease-in': 'ease in', 'ease-out': 'ease out',
      spline: 'without stopping',
    },
    unedited: 'unedited',
    earlier: 'Earlier',
    remove: 'Remove',
    later: 'Later',
    actionLabel: (/** @type {string} */ action, /** @type {number} */ number) => `${action}: keyframe ${number}`,
    summary(/** @type {number} */ count, /** @type {boolean} */ loop) {
      if (count) return `Through ${count} keyframes${loop ? ' and back to the first' : ''}.`;
      return `From the unedited face to the current one${loop ? ' and back' : ''}.`;
    },
  },

  sound: {
    head: 'Sound',
    about: 'The video plays this track, and a slider follows its loudness.',
    choose: 'Choose a track',
    sliderRow: 'Slider',
    follow: 'Slider that follows the track',
    followNone: 'none (sound only)',
    bandRow: 'Follows',
    band: 'Part of the sound',
    bands: { all: 'everything', low: 'drums and bass', mid: 'voices', high: 'cymbals' },
    rangeRow: 'Range',
    low: 'Strength in silence',
    high: 'Strength at full loudness',
  },

  motion: {
    head: 'Motion clip',
    about: 'This face follows the face in a clip: it turns, talks, laughs.',
    choose: 'Choose a clip',
    amountRow: 'Amount',
    amount: 'Amount of motion',
  },

  bar: { undo: 'Undo', redo: 'Redo', history: 'History' },

  save: {
    open: 'Save',
    picture: 'Picture',
    pictureHint: 'the square, PNG',
    wholePhoto: 'Whole photo',
    wholePhotoHint: 'with the square pasted back into place, PNG',
    wholePhotoMissing: 'only for faces from a photo',
    sliders: 'Sliders',
    slidersHint: 'those in the panel, to import or share',
    recipe: 'Recipe',
    recipeHint: 'all edits, to apply to another face',
    latent: 'Latent',
    latentHint: 'to open again here or in a script',
  },
};
