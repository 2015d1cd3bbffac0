// Watches whether the person does anything. Without it the page is emptied and gives way to the lock screen; the server decides, this only looks.
(() => {
  const said = document.currentScript.dataset
  const idle = Number(said.idle) * 1000
  const pause = Math.min(20000, idle / 6), look = Math.min(5000, idle / 4)
  let acted = Date.now(), told = acted, later = 0, gone = false, asking = false

  const form = () => (document.cookie.split("; ").find((c) => c.startsWith(`${said.form}=`)) ?? "").slice(said.form.length + 1)
  const post = (to) => fetch(to, { method: "POST", headers: { "X-Xsrftoken": form() }, credentials: "same-origin", cache: "no-store" })

  function leave(to) {
    if (gone) return
    gone = true
    document.title = "Workbench"
    document.documentElement.style.visibility = "hidden"
    if (document.body) document.body.replaceChildren()
    location.replace(to)
  }

  const locked = () => leave(`/lock?next=${encodeURIComponent(location.pathname)}`)

  async function ask() {
    if (gone || asking) return
    asking = true
    try {
      const answer = await (await fetch("/session", { credentials: "same-origin", cache: "no-store" })).json()
      if (answer.state === "open") {
        acted = Math.max(acted, Date.now() - Math.max(0, idle - answer.left * 1000))  // somebody at work in another window of the same session
        document.documentElement.style.visibility = ""
      } else if (answer.state === "locked") locked()
      else leave(answer.state === "change" ? "/password" : `/sign-in?next=${encodeURIComponent(location.pathname)}`)
    } catch {
      if (Date.now() - acted >= idle) locked()
    } finally {
      asking = false
    }
  }

  function tell() {
    later = 0
    told = Date.now()
    post("/session").catch(() => {})
  }

  function act(event) {
    if (!event.isTrusted || gone || Date.now() - acted >= idle) return
    acted = Date.now()
    if (acted - told >= pause) tell()
    else if (!later) later = setTimeout(tell, pause - (acted - told))
  }

  for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"]) window.addEventListener(kind, act, { capture: true, passive: true })
  window.addEventListener("click", (event) => {
    const link = event.composedPath().find((e) => e instanceof HTMLAnchorElement && e.pathname === "/sign-out")
    if (!link) return
    event.preventDefault()
    post("/sign-out").catch(() => {}).finally(() => leave("/sign-in"))
  }, { capture: true })
  window.addEventListener("pageshow", (event) => event.persisted && ask())
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && ask())

  let looked = Date.now()
  setInterval(() => {
    const now = Date.now()
    if (now - acted >= idle) document.documentElement.style.visibility = "hidden"
    if (now - acted >= idle || now - looked >= look) {
      looked = now
      ask()
    }
  }, Math.min(1000, look))
})()
