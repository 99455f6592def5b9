// How JupyterLab runs a cell, with two differences. Cells that are run before the kernel's session is there wait for it:
// JupyterLab itself forgets them. And before a check the notebook is saved: what the judge sees in the file, and what is
// handed in, is then what stands on the screen. For that, notebooks are saved one save at a time.
//
// Written by hand in the form in which JupyterLab loads its extensions, a container of webpack's module federation:
// no build step, and nothing of JupyterLab's is copied. What it needs comes from the page's own shared modules.

const NAME = "tilewise";
let shared;
let tracker;

async function sharedModule(name) {
  const [version] = Object.values(shared[name]);
  return (await version.get())();
}

function isCheck(cell) {
  return cell.model.getMetadata("tilewise")?.role === "check";
}

// Cells that are run by one command come here one after the other, without a pause. They wait together and go on in
// their order: a check that waited for itself would be sent after an error above it, which is to stop it.
function executor(runCell) {
  const batches = new WeakMap();

  async function prepare(batch, notebook, session) {
    // Rejected, it has told the learner, and the executor below says what to do without a kernel.
    await session.initialize().catch(() => {});
    const context = tracker?.find((panel) => panel.content.model === notebook)?.context;
    // A save that fails says so in a dialog; the check goes on, and tells that the file differs.
    if (batch.checks && context?.model.dirty) await context.save().catch(() => {});
    batches.delete(notebook);
  }

  async function turn({ cell, notebook, sessionContext: session }) {
    let batch = batches.get(notebook);
    if (!batch) {
      batch = { checks: false };
      batches.set(notebook, batch);
      batch.ready = prepare(batch, notebook, session);
    }
    batch.checks ||= isCheck(cell);
    if (session.session?.kernel) return batch.ready;
    cell.model.executionState = "running"; // [*]: it is not forgotten
    await batch.ready;
    cell.model.executionState = "idle";
  }

  return {
    async runCell(options) {
      if (options.cell.model.type === "code" && options.sessionContext) await turn(options);
      return runCell(options);
    },
  };
}

// JupyterLab takes the file that one save has just written for a stranger's when another has begun meanwhile, its own
// autosave for example, and asks whether to overwrite it.
function saveOneAtATime(context) {
  const save = context.save.bind(context);
  let last = Promise.resolve();
  context.save = () => {
    last = last.then(save, save);
    return last;
  };
}

async function plugins() {
  const { INotebookCellExecutor, INotebookTracker, runCell } = await sharedModule("@jupyterlab/notebook");
  return [
    {
      id: `${NAME}:cell-executor`,
      description: "Runs cells when the kernel is there; saves before a check.",
      autoStart: true,
      provides: INotebookCellExecutor,
      activate: () => Object.freeze(executor(runCell)),
    },
    {
      id: `${NAME}:notebooks`,
      description: "Saves notebooks one save at a time. The tracker needs the executor, so this plugin comes after both.",
      autoStart: true,
      requires: [INotebookTracker],
      activate: (_app, notebooks) => {
        tracker = notebooks;
        notebooks.forEach((panel) => saveOneAtATime(panel.context));
        notebooks.widgetAdded.connect((_tracker, panel) => saveOneAtATime(panel.context));
      },
    },
  ];
}

window._JUPYTERLAB = window._JUPYTERLAB ?? {};
window._JUPYTERLAB[NAME] = {
  init(scope) {
    shared = scope;
  },
  async get() {
    const all = await plugins();
    return () => ({ __esModule: true, default: all });
  },
};
