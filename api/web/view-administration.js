// The way into the administration: a link that only administrators see, and the address that it leads to. The view
// itself, `admin.js` and what belongs to it, is loaded when it is opened for the first time.

import { byId, toast } from './dom.js';
import { t } from './strings.js';

/** `show(id)` shows one of the page's parts; `onBack()` leads to the chats. */
export function setUpAdministration({ show, onBack }) {
  const link = byId('open-admin');
  let view = null;
  let shown = false;

  async function open(state) {
    try {
      view ??= import('./admin.js').then((module) => module.setUpAdministration({ me: state.me, onBack }));
      const ready = await view;
      // Meanwhile one may have gone elsewhere.
      if (shown) ready.show(location.hash);
    } catch {
      view = null;
      toast(t.unreachable);
      onBack();
    }
  }

  return {
    /** Whether the address is the administration's; then it is shown. */
    follow(state) {
      const wanted = state.me.role === 'admin' && /^#\/admin(\/|$)/.test(location.hash);
      if (wanted) {
        shown = true;
        show('admin');
        open(state);
      } else if (shown) {
        this.close();
        show('app');
      }
      return wanted;
    },
    /** Somebody else may sign in next. */
    close() {
      shown = false;
      view?.then((ready) => ready.hide(), () => {});
      view = null;
      byId('admin').replaceChildren();
    },
    render(state) {
      link.hidden = state.me.role !== 'admin';
    },
  };
}
